// Sets the formulas of a page with MathJax, which lies beside this file; pages without formulas do not load it.
window.MathJax = {
  tex: { inlineMath: [["\\(", "\\)"]], displayMath: [["\\[", "\\]"]] },
  svg: { fontCache: "global", scale: 0.93 },
  options: { enableMenu: false, ignoreHtmlClass: ".*|", processHtmlClass: "arithmatex" },
};
(function () {
  const here = document.currentScript.src;
  function load() {
    if (!document.querySelector(".arithmatex")) return;
    const script = document.createElement("script");
    script.src = new URL("mathjax/tex-svg.js", here).href;
    document.head.appendChild(script);
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", load);
  else load();
})();
