// Before the first paint: the scheme chosen earlier, where one was. Without a choice the system's holds.
(function () {
  "use strict";
  var chosen = null;
  try { chosen = window.localStorage.getItem("lanner-theme"); } catch (error) { /* storage is off */ }
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
})();
