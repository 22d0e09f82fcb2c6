// Looking at a large figure: zoom, an overview with the part in view, and keeping a place in view.

function makeView(box, svg) {
  const zoomable = byId("view");
  const overview = byId("overview");
  let zoom = 1;

  function setZoom(factor) {
    const middle = [(box.scrollLeft + box.clientWidth / 2) / box.scrollWidth,
      (box.scrollTop + box.clientHeight / 2) / box.scrollHeight];
    zoom = Math.max(1, Math.min(8, factor));
    svg.style.setProperty("--zoom", zoom);
    byId("zoom-out").disabled = zoom === 1;
    byId("zoom-in").disabled = zoom === 8;
    box.scrollLeft = middle[0] * box.scrollWidth - box.clientWidth / 2;
    box.scrollTop = middle[1] * box.scrollHeight - box.clientHeight / 2;
    update();
  }

  // The overview is the same drawing, small; it shows where more of the figure is than is seen.
  let frame = null;
  function update() {
    const outer = box.getBoundingClientRect(), inner = svg.getBoundingClientRect();
    const partly = inner.width > outer.width + 4 || inner.height > outer.height + 4;
    zoomable.hidden = !partly && zoom === 1 && svg.querySelectorAll(".node").length < 30;
    overview.toggleAttribute("hidden", !partly);
    if (!partly) return;
    const { x, y, width, height } = svg.viewBox.baseVal;
    if (!frame) {
      const copy = overview.appendChild(svgElement("g", {}));
      for (const part of svg.querySelectorAll(".edge path, .shape")) {
        const twin = part.cloneNode(false);
        twin.removeAttribute("id");
        copy.appendChild(twin);
      }
      frame = overview.appendChild(svgElement("rect", { class: "in-view", rx: 4 }));
    }
    overview.setAttribute("viewBox", `${x} ${y} ${width} ${height}`);
    const scale = width / inner.width;
    const left = x + Math.max(0, outer.left - inner.left) * scale;
    const top = y + Math.max(0, outer.top - inner.top) * scale;
    for (const [name, value] of Object.entries({ x: left, y: top,
      width: Math.min(width, outer.width * scale), height: Math.min(height, outer.height * scale) })) {
      frame.setAttribute(name, value);
    }
  }

  function jump(event) {
    if (event.type === "pointermove" && !event.buttons) return;
    const map = overview.getBoundingClientRect();
    box.scrollLeft = (event.clientX - map.left) / map.width * box.scrollWidth - box.clientWidth / 2;
    box.scrollTop = (event.clientY - map.top) / map.height * box.scrollHeight - box.clientHeight / 2;
  }

  byId("zoom-in").onclick = () => setZoom(zoom * 1.4);
  byId("zoom-out").onclick = () => setZoom(zoom / 1.4);
  byId("zoom-fit").onclick = () => setZoom(1);
  overview.addEventListener("pointerdown", jump);
  overview.addEventListener("pointermove", jump);
  box.addEventListener("scroll", update, { passive: true });
  addEventListener("resize", update);
  setZoom(1);
  return { update };
}
