// Runs before anything is drawn, so that the page never shows the wrong language first.
(function () {
  let language = null;
  try { language = localStorage.getItem("medscale-language"); } catch { /* storage is blocked: the browser's language decides */ }
  if (language !== "en" && language !== "zh-CN") language = /^zh/i.test(navigator.language || "") ? "zh-CN" : "en";
  document.documentElement.lang = language;
  document.documentElement.classList.add("js");
})();
