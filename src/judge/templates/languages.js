"use strict";
// Both languages are in the page: elements that the style hides, and attributes. Numbers stand as in English.
const inLanguage = (text) => document.documentElement.lang === "vi"
  ? text.replace(/[.,]/g, (sign) => (sign === "." ? "," : "."))
  : text;
(() => {
  const buttons = document.getElementById("languages");
  const speak = (language) => {
    document.documentElement.lang = language;
    try { localStorage.setItem("report-language", language); } catch { /* private windows */ }
    for (const element of document.querySelectorAll("[data-vi]")) {
      const text = element.dataset[language], { of } = element.dataset;
      if (of) element.setAttribute(of, text); else element.textContent = text;
    }
    for (const element of document.querySelectorAll("data, .chart text:not([data-vi])")) {
      if (element.dataset.n === undefined) element.dataset.n = element.textContent;
      element.textContent = inLanguage(element.dataset.n);
    }
    for (const button of buttons.children) button.setAttribute("aria-pressed", String(button.dataset.language === language));
    document.dispatchEvent(new Event("language"));
  };
  let known = null;
  try { known = localStorage.getItem("report-language"); } catch { /* private windows */ }
  speak(known === "vi" || known === "en" ? known : navigator.language.startsWith("vi") ? "vi" : "en");
  buttons.hidden = false;
  for (const button of buttons.children) button.addEventListener("click", () => speak(button.dataset.language));
})();
