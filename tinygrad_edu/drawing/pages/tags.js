// Tags beside the edges that carry gradients: laid out so that they cover no circle, no number and
// no other tag. A tag stands on its edge where there is room, else near it with a line to it.

const GAP = 3;   // units of the figure between a tag and anything else

const overlap = (a, b) =>
  Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x) > -GAP
  && Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y) > -GAP;

// Everything in the figure that must stay readable, as boxes. Numbers that are not there yet keep
// their places free, and so do numbers that an input may still make longer.
function obstaclesOf(figure, room) {
  const boxes = [...figure.querySelectorAll(".shape, .nodes text")].map((element) => {
    const { x, y, width, height } = element.getBBox();
    if (!element.matches(".value, .gradient")) return { x, y, width, height };
    const size = Number(element.dataset.size ?? element.getAttribute("font-size"));
    const full = Math.max(width, Math.min(room, 7) * size * 0.5);
    const middle = Number(element.getAttribute("x"));
    const base = Number(element.getAttribute("y"));
    return { x: middle - full / 2, y: base - size * 0.82, width: full, height: size };
  });
  return boxes;
}

// The best free place for a box of this size near a point; candidates in order of preference.
function freePlace(width, height, anchors, taken, area) {
  const fits = (x, y) => {
    const box = { x, y, width, height };
    return x >= area.x && y >= area.y && x + width <= area.x + area.width
      && y + height <= area.y + area.height && !taken.some((other) => overlap(box, other)) && box;
  };
  for (const { x, y } of anchors) {   // on the edge itself
    const box = fits(x - width / 2, y - height / 2);
    if (box) return { box, anchor: { x, y } };
  }
  let best = null;
  for (let step = 1; step <= 60 && !best; step += 1) {   // around it, farther and farther out
    const radius = step * 9;
    for (const { x, y } of anchors.slice(0, 3)) {
      for (let k = 0; k < 16; k += 1) {
        const angle = k * Math.PI / 8;
        const box = fits(x + radius * Math.cos(angle) - width / 2,
          y + radius * Math.sin(angle) - height / 2);
        if (box) {
          best ??= { box, anchor: { x, y } };
          break;
        }
      }
    }
  }
  return best;
}

// Lay out the tags of one moment: [{ width, height, anchors }] -> [{ box, anchor }]. What finds no
// place in `area` is stacked below it; the result says how much higher the area must be.
function layOutTags(tags, obstacles, area) {
  const taken = [...obstacles];
  let below = 0;
  const places = tags.map(({ width, height, anchors }) => {
    let place = freePlace(width, height, anchors, taken, area);
    if (!place) {
      const x = Math.max(area.x, Math.min(anchors[0].x - width / 2, area.x + area.width - width));
      place = { box: { x, y: area.y + area.height + below, width, height }, anchor: anchors[0] };
      below += height + GAP;
    }
    taken.push(place.box);
    return place;
  });
  return { places, below };
}

// Points along a path, from its middle outwards; on a long one near its start, where the gradient
// arrives, so that both can be in view.
function anchorsOn(path) {
  const length = Math.min(path.getTotalLength(), 400);
  return [0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78, 0.15, 0.85].map((share) => {
    const { x, y } = path.getPointAtLength(share * length);
    return { x, y };
  });
}
