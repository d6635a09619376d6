// What the pages do besides htmx: light or dark, times, uploads with progress, and quiet while nobody looks.
"use strict";
(() => {
  const root = document.documentElement;

  // Before anything is shown, so that it does not flash.
  const kept = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;

  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  function toggleTheme() {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* then for this page only */ }
  }

  function ago(moment) {
    const seconds = Math.round((Date.now() - moment) / 1000);
    if (seconds < 5) return "just now";
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]])
      if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
    return "just now";
  }

  function tellTimes() {
    for (const element of document.querySelectorAll("time[data-ago], time[data-local]")) {
      const moment = new Date(element.dateTime);
      if (!element.title) element.title = `${moment.toLocaleString()} (${element.textContent.trim()})`;
      const told = "ago" in element.dataset ? ago(moment.getTime())
        : moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
      if (element.textContent !== told) element.textContent = told;
    }
  }

  function toast(words) {
    const box = document.getElementById("toast");
    box.textContent = words;
    box.hidden = false;
    clearTimeout(toast.timer);
    toast.timer = setTimeout(() => { box.hidden = true; }, 8000);
  }

  const TYPES = [
    [/\.csv(\.gz|\.zst)?$/i, "text/csv"],
    [/\.parquet$/i, "application/vnd.apache.parquet"],
    [/\.(jsonl|ndjson)(\.gz|\.zst)?$/i, "application/x-ndjson"],
  ];

  // The body is the file itself, as the API takes it, so a table of any size goes through without being held anywhere.
  function upload(form, file) {
    const error = form.querySelector(".error"), shown = form.querySelector(".upload-progress");
    const bar = shown.querySelector("progress"), words = shown.querySelector("span");
    const known = TYPES.find(([pattern]) => pattern.test(file.name));
    const fail = (text) => { error.textContent = text; error.hidden = false; shown.hidden = true; };
    error.hidden = true;
    if (!known) return fail("The table should be a .csv, .parquet or .jsonl file.");
    shown.hidden = false;
    words.textContent = `Uploading ${file.name}`;
    const request = new XMLHttpRequest();
    request.open("POST", `${form.dataset.upload}?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("Content-Type", known[1]);
    request.setRequestHeader("X-CSRF-Token", document.querySelector("meta[name=csrf]").content);
    request.upload.onprogress = (event) => {
      if (!event.lengthComputable) return;
      bar.value = 100 * event.loaded / event.total;
      if (event.loaded === event.total) { bar.removeAttribute("value"); words.textContent = `Reading ${file.name}`; }
    };
    request.onerror = () => fail("The connection broke off. Try again.");
    request.onload = () => {
      if (request.status === 401) location.assign("/login");
      else if (request.status !== 201) fail(request.responseText || "It was not accepted.");
      else if (form.dataset.next) location.assign(`${form.dataset.next}?dataset=${request.getResponseHeader("X-Dataset")}`);
      else location.assign(request.getResponseHeader("Location"));
    };
    request.send(file);
  }

  function prepareUploads() {
    for (const form of document.querySelectorAll("form[data-upload]")) {
      const input = form.querySelector("input[type=file]"), drop = form.querySelector(".drop");
      input.addEventListener("change", () => { if (input.files.length) upload(form, input.files[0]); });
      form.addEventListener("submit", (event) => event.preventDefault());
      drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
      drop.addEventListener("dragleave", () => drop.classList.remove("over"));
      drop.addEventListener("drop", (event) => {
        event.preventDefault();
        drop.classList.remove("over");
        if (event.dataTransfer.files.length) upload(form, event.dataTransfer.files[0]);
      });
    }
  }

  // A log that is read at its end stays there; one that is read further up stands still.
  function followLogs() {
    for (const box of document.querySelectorAll("[data-follow]")) {
      let atEnd = true;
      box.scrollTop = box.scrollHeight;
      box.addEventListener("scroll", () => { atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40; });
      new MutationObserver(() => { if (atEnd) box.scrollTop = box.scrollHeight; }).observe(box, { childList: true });
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    tellTimes();
    setInterval(() => { if (!document.hidden) tellTimes(); }, 5000);
    prepareUploads();
    followLogs();
    document.querySelector("[data-focus]")?.focus();

    document.body.addEventListener("click", (event) => {
      if (event.target.closest("[data-theme-toggle]")) toggleTheme();
      const back = event.target.closest("[data-back]");
      if (back && history.length > 1) { event.preventDefault(); history.back(); }
    });
    document.body.addEventListener("change", (event) => {
      if (event.target.closest("[data-submit]")) event.target.form.requestSubmit();
    });
    document.body.addEventListener("submit", (event) => {
      const question = event.target.dataset.confirm;
      if (question && !confirm(question)) event.preventDefault();
    });

    // What follows by itself rests while the page is hidden, and looks at once when it is seen again.
    document.body.addEventListener("htmx:beforeRequest", (event) => {
      if (document.hidden && event.detail.elt.matches("[data-live]")) event.preventDefault();
    });
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) tellTimes();
    });
    // A part is not renewed under the hands of who is at one of its links or buttons with the keyboard.
    document.body.addEventListener("htmx:beforeSwap", (event) => {
      const part = event.detail.elt, active = document.activeElement;
      if (part.matches("[data-live]") && part.contains(active) && active.matches("a, button, input, select, textarea, summary"))
        event.detail.shouldSwap = false;
    });
    document.body.addEventListener("htmx:afterSettle", tellTimes);
    document.body.addEventListener("htmx:responseError", (event) => toast(event.detail.xhr.responseText || "That did not work."));
    document.body.addEventListener("htmx:sendError", () => toast("Graft does not answer. It is tried again."));
  });
})();
