"use strict";
// The controls that all pages share: play, pause, step, scrub, keys. draw(t) shows step t.

const byId = (id) => document.getElementById(id);

function makePlayer(last, draw) {
  let current = 0;
  let timer = 0;

  function show(t) {
    current = Math.max(0, Math.min(last, t));
    byId("scrub").value = current;
    byId("count").textContent = `${current} of ${last}`;
    draw(current);
  }

  function play(on) {
    clearInterval(timer);
    timer = 0;
    if (on && current === last) show(0);
    if (on) {
      timer = setInterval(() => {
        show(current + 1);
        if (current === last) play(false);
      }, Number(byId("speed").value));
    }
    byId("play").classList.toggle("playing", on);
    byId("play").querySelector("span").textContent = on ? "Pause" : "Play";
  }

  function go(t) {
    play(false);
    show(t);
  }

  byId("scrub").max = last;
  byId("first").onclick = () => go(0);
  byId("back").onclick = () => go(current - 1);
  byId("play").onclick = () => play(!timer);
  byId("next").onclick = () => go(current + 1);
  byId("last").onclick = () => go(last);
  byId("scrub").oninput = () => go(Number(byId("scrub").value));
  byId("speed").onchange = () => timer && play(true);

  const scrolls = (element) => element.tabIndex === 0 && element.tagName === "DIV"
    && (element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 1);

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const { tagName, type } = event.target;
    if (tagName === "SELECT" || (tagName === "INPUT" && !["range", "checkbox"].includes(type))) return;
    // a focused box that scrolls keeps its arrow keys, and so do sliders other than the scrubber
    if (event.key.startsWith("Arrow") && scrolls(event.target)) return;
    if (type === "range" && event.target.id !== "scrub") return;
    const steps = { ArrowRight: current + 1, ArrowLeft: current - 1, Home: 0, End: last };
    if (event.key in steps) go(steps[event.key]);
    else if (event.key === " " && tagName !== "BUTTON") play(!timer);
    else return;
    event.preventDefault();
  });

  return { show, go, again: () => draw(current) };
}
