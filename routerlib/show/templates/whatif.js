// What if prices or the cost weight were others? The same rule as the router's, over the page's data.
"use strict";
(() => {
  const root = document.getElementById("what-if");
  const data = JSON.parse(document.getElementById("held-out").textContent);
  const n = data.quality.length;
  const nGroups = new Set(data.groups).size;
  const own = data.cost_weights.indexOf(data.cost_weight);
  const plain = data.price_factors.indexOf(1);

  // The largest expected quality - weight * cost; the cheaper among equals.
  const choose = (row, weight, factors) => {
    let arm = 0, bestUtility = -Infinity, bestCost = Infinity;
    data.expected_quality[row].forEach((quality, each) => {
      const cost = data.expected_cost_usd[row][each] * factors[each];
      const utility = weight === 0 ? quality : quality - weight * cost;
      if (utility > bestUtility || (utility === bestUtility && cost < bestCost)) {
        arm = each; bestUtility = utility; bestCost = cost;
      }
    });
    return arm;
  };
  // A weight of null stands for what was tested, or for the best single model where it keeps to it.
  const armOf = (row, weight, factors) => (weight === null ? data.tested[row] : choose(row, weight, factors));
  const today = data.tested;
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  const suppose = (arms, factors) => {
    const paid = arms.map((arm, row) => data.cost_usd[row][arm] * factors[arm]);
    const gains = arms.map((arm, row) => data.quality[row][arm] - data.quality[row][data.best[row]]);
    const bestCost = mean(data.cost_usd.map((costs, row) => costs[data.best[row]] * factors[data.best[row]]));
    const difference = mean(gains);
    // One loss more than was seen: a few rerouted prompts without a loss are no proof.
    const unseen = arms.some((arm, row) => arm !== data.best[row]) ? 1 : 0;
    const sums = new Array(nGroups).fill(0); // prompts of a group count together
    gains.forEach((gain, row) => { sums[data.groups[row]] += gain - difference; });
    const squares = sums.reduce((sum, each) => sum + each ** 2, unseen);
    return {
      quality: mean(arms.map((arm, row) => data.quality[row][arm])),
      cost_usd: mean(paid),
      shares: data.models.map((_, each) => arms.filter((arm) => arm === each).length / n),
      best_quality: mean(data.quality.map((qualities, row) => qualities[data.best[row]])),
      best_cost_usd: bestCost,
      saving: bestCost ? 1 - mean(paid) / bestCost : NaN,
      quality_difference: difference,
      half_width: nGroups > 1 ? data.joint_width * Math.sqrt((squares * nGroups) / (nGroups - 1)) / n : NaN,
      n_changed: arms.filter((arm, row) => arm !== today[row]).length,
    };
  };

  const short = (value) => (Math.abs(value) >= 1000
    ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(3))));
  const signed = (value, digits) => (value >= 0 ? "+" : "-") + Math.abs(value).toFixed(digits);
  const percent = (share) => `${Math.round(100 * share)} %`;
  const show = (name, text) => { root.querySelector(`[data-shows="${name}"]`).textContent = text; };

  const weightInput = root.querySelector("#cost-weight");
  const priceInputs = [...root.querySelectorAll("input[data-model]")];
  const bars = [...root.querySelectorAll("[data-share]")];

  const say = (input, text) => {
    input.setAttribute("aria-valuetext", text);
    document.getElementById(`${input.id}-value`).textContent = text;
  };
  const weightText = (weight) => (weight === null ? `not used: keeps to ${data.best_single}`
    : weight === 0 ? "0: cost plays no part"
    : `${short(weight)}: a point of quality for ${short(10 / weight)} US dollars per 1000 prompts`);

  let isUntouched = true;
  const update = () => {
    const tried = data.cost_weights[Number(weightInput.value)];
    const factors = priceInputs.map((input) => data.price_factors[Number(input.value)]);
    const asTested = isUntouched && (data.keeps_to_best || factors.every((factor) => factor === 1));
    const weight = asTested ? null : tried;
    const arms = data.quality.map((_, row) => armOf(row, weight, factors));
    const found = suppose(arms, factors);
    say(weightInput, asTested && data.keeps_to_best ? weightText(null) : weightText(tried));
    priceInputs.forEach((input, each) => say(input, factors[each] === 1 ? "as it is" : `${factors[each]} times`));
    show("quality", found.quality.toFixed(3));
    show("best-quality", found.best_quality.toFixed(3));
    show("cost", short(1000 * found.cost_usd));
    show("best-cost", short(1000 * found.best_cost_usd));
    // The best single model beside itself: there is no difference to measure.
    const isItself = arms.every((arm, row) => arm === data.best[row]);
    show("saving", isItself ? "The same cost" : Number.isNaN(found.saving) ? "unknown"
      : `${percent(Math.abs(found.saving))} ${found.saving >= 0 ? "cheaper" : "dearer"}`);
    show("difference", isItself ? `the same: it is always ${data.best_single}` : `${signed(100 * found.quality_difference, 1)} ± ${(100 * found.half_width).toFixed(1)} points`);
    show("changed", `${found.n_changed} of ${n}`);
    bars.forEach((bar, each) => {
      bar.style.width = `${100 * found.shares[each]}%`;
      bar.parentElement.nextElementSibling.textContent = percent(found.shares[each]);
    });
    root.dataset.found = JSON.stringify(found); // for those who want the unrounded numbers
  };

  const reset = () => {
    isUntouched = true;
    weightInput.value = own;
    priceInputs.forEach((input) => { input.value = plain; });
    update();
  };
  weightInput.addEventListener("input", () => { isUntouched = false; });
  root.querySelectorAll(".sliders input").forEach((input) => input.addEventListener("input", update));
  root.querySelector(".sliders button").addEventListener("click", reset);
  root.querySelector(".controls").hidden = false;
  reset();
})();
