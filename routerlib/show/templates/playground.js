// Give the slider of the playground a name and its reading in words, and have changes read out.
(() => {
  const complete = (playground) => {
    const slider = playground.querySelector(".rl-slider");
    const handle = slider && slider.querySelector("[role=slider]");
    if (!handle) return false;
    const readout = slider.querySelector(".widget-readout");
    handle.setAttribute("aria-label", slider.querySelector(".widget-label").textContent);
    const read = () => handle.setAttribute("aria-valuetext", readout.textContent);
    new MutationObserver(read).observe(readout, { childList: true, characterData: true, subtree: true });
    handle.addEventListener("focus", read);
    read();
    for (const name of [".rl-status", ".rl-meaning-box"]) {
      playground.querySelector(name).setAttribute("aria-live", "polite");
    }
    return true;
  };
  const seek = (tries) => {
    const found = [...document.querySelectorAll(".rl-playground")].map(complete);
    if (tries > 0 && (!found.length || found.includes(false))) setTimeout(seek, 100, tries - 1);
  };
  seek(100);
})();
