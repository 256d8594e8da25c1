// Dollars a month, by the reader's own number of prompts; as Python writes them.
"use strict";
(() => {
  const field = document.getElementById("prompts-per-month");
  if (!field) return;
  const shown = document.querySelector("[data-bill]");
  const { bill, saved, low, high, best } = shown.dataset;
  const dollars = (value) => (value >= 100 ? Math.round(value).toLocaleString("en-US")
    : value >= 1 ? value.toFixed(2) : String(Number(value.toPrecision(3))));
  const usd = (value) => (value >= 0 ? `$${dollars(value)}` : `-$${dollars(-value)}`);
  const update = () => {
    const n = Math.max(Number(field.value) || 0, 0);
    const [value, least, most] = [saved, low, high].map((each) => n * Number(each));
    const cost = `$${dollars(n * Number(bill))} that always calling ${best} costs`;
    shown.textContent = saved === undefined ? `saves nothing of the ${cost} a month, since it is that model itself`
      : value >= 0 ? `saves ${usd(value)} [${usd(least)}, ${usd(most)}] a month of the ${cost}`
      : `costs ${usd(-value)} [${usd(-most)}, ${usd(-least)}] a month more than the ${cost}`;
  };
  field.addEventListener("input", update);
  field.closest("[hidden]").hidden = false;
})();
