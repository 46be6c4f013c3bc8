// Light or dark, before the first paint: the system's choice, until another was made here.
(() => {
  const KEY = "contextkit-theme";
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try {
    chosen = window.localStorage.getItem(KEY);
  } catch (error) {
    console.info("the theme is not remembered:", error.message);
  }
  const show = () => {
    root.dataset.theme = chosen ?? (system.matches ? "dark" : "light");
    window.dispatchEvent(new Event("theme"));
  };
  const toggle = () => {
    chosen = root.dataset.theme === "dark" ? "light" : "dark";
    try {
      window.localStorage.setItem(KEY, chosen);
    } catch (error) {
      console.info("the theme is not remembered:", error.message);
    }
    show();
  };
  system.addEventListener("change", show);
  window.addEventListener("toggle-theme", toggle);
  document.addEventListener("DOMContentLoaded", () =>
    document.getElementById("theme").addEventListener("click", toggle),
  );
  show();
})();
