// Training again, in the page: plain gradient descent on the loss of the points, from the recorded
// start. The gradients are those of one example's graph, by the rules of the operation table.

// The loss of one example and its gradient: steps is a graph as step.js has it, with its inputs.
function lossAndGradient(steps, parameters, point, gradient) {
  const { nodes, terms, backward } = steps.data;
  const values = nodes.map((node) => Number(node.value));
  for (const [node, kind, k] of steps.inputs) values[node] = kind === "p" ? parameters[k] : point[k];
  const operands = nodes.map((node) => node.operands);
  nodes.forEach(({ operation }, i) => {
    if (operation) values[i] = OPERATIONS[operation].forward(...operands[i].map((x) => values[x]));
  });
  const locals = [], gradients = [], last = nodes.length - 1;
  for (const i of backward) {
    gradients[i] = i === last ? 1
      : terms[i].reduce((sum, { child, position }) => sum + gradients[child] * locals[child][position], 0);
    if (nodes[i].operation) {
      locals[i] = OPERATIONS[nodes[i].operation].gradients(values[i],
        ...operands[i].map((x) => values[x]));
    }
  }
  for (const [node, kind, k] of steps.inputs) if (kind === "p") gradient[k] += gradients[node] ?? 0;
  return values[last];
}

// Numbers that are the same in every browser, for the order of the points.
function shuffled(count, state) {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i -= 1) {
    state.seed = (Math.imul(state.seed, 1664525) + 1013904223) >>> 0;
    const j = Math.floor(state.seed / 2 ** 32 * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

// One epoch: changes `parameters`; returns the loss, averaged over the batches, each before its step.
function epochOf(data, parameters, rate, size, state) {
  const count = data.points.length;
  const order = size && size < count ? shuffled(count, state) : data.points.map((_, i) => i);
  const batch = size || count;
  let total = 0;
  for (let from = 0; from < count; from += batch) {
    const members = order.slice(from, from + batch);
    const gradient = parameters.map(() => 0);
    let loss = 0;
    for (const i of members) {
      const point = data.points[i];
      loss += lossAndGradient(data.steps[point[2]], parameters, point, gradient);
    }
    const share = data.reduction === "mean" ? 1 / members.length : 1;
    total += loss * share * members.length / count;
    const step = (data.maximize ? -rate : rate) * share;
    gradient.forEach((slope, k) => { parameters[k] -= step * slope; });
    if (!parameters.every(Number.isFinite)) throw new MathError("overflow");
  }
  return total;
}
