// Latency of a window: stages stacked, percentiles of the whole over them, and two lines to hold it against.
// For the eye: the table beside it has the figures.

const STAGES = [
  ["eventToState", "event → state", "#4f86e8"], ["search", "search", "#7fd7e8"], ["simulate", "simulate", "#b79cff"],
  ["sign", "sign", "#f0b849"], ["persist", "persist", "#d4a373"], ["submit", "submit", "#3ecf9a"],
];
const LINES = [["p50Ms", "p50", "#e6e9f0"], ["p95Ms", "p95", "#f0b849"], ["p99Ms", "p99", "#ff7b7b"]];
const AXIS = { stroke: "#a3abbd", grid: { stroke: "#1f2637", width: 1 }, ticks: { stroke: "#2a3247" } };

export function msWords(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return ms >= 100 ? `${Math.round(ms)} ms` : ms >= 10 ? `${ms.toFixed(1)} ms` : `${ms.toFixed(2)} ms`;
}

// Rows of uPlot: time, each stage upon those before it, percentiles, target, block time.
function columns(measured) {
  const points = measured.series.filter((point) => point.count > 0);
  // Both ends of the window stand in the data, so that the two lines run from one to the other.
  const to = Math.floor(Date.now() / 1000);
  const between = points.map((point) => Math.floor(Date.parse(point.at) / 1000));
  const at = [Math.min(to - measured.windowS, ...between), ...between, Math.max(to, ...between)];
  const within = (column) => [null, ...column, null];
  const stacked = points.map(() => 0);
  const stages = STAGES.map(([stage]) => within(points.map((point, i) => {
    stacked[i] += point.stages[stage] ?? 0;
    return stacked[i] || null;
  })));
  const lines = LINES.map(([name]) => within(points.map((point) => point[name])));
  const flat = (ms) => at.map(() => ms);
  return [at, ...stages, ...lines, flat(measured.targetMs), flat(measured.blockTimeMs)];
}

function options(element, measured) {
  const stage = ([, label, color]) => ({ label, stroke: color, fill: `${color}66`, width: 1, points: { show: false }, value: (_, ms) => msWords(ms) });
  const line = ([, label, color]) => ({ label, stroke: color, width: 2, value: (_, ms) => msWords(ms) });
  const mark = (label, color) => ({ label, stroke: color, width: 1, dash: [6, 4], points: { show: false }, value: (_, ms) => msWords(ms) });
  return {
    width: element.clientWidth, height: 200,
    series: [
      { value: (_, at) => (at ? `${new Date(at * 1000).toISOString().slice(11, 19)} UTC` : "–") },
      ...STAGES.map(stage), ...LINES.map(line),
      mark(`target ${msWords(measured.targetMs)}`, "#3ecf9a"), mark(`block ${msWords(measured.blockTimeMs)}`, "#a3abbd"),
    ],
    // Each stage is filled down to the one below it.
    bands: STAGES.slice(1).map((_, i) => ({ series: [i + 2, i + 1] })),
    scales: { y: { distr: 3, log: 10 } },
    axes: [
      { ...AXIS, values: (_, ticks) => ticks.map((at) => new Date(at * 1000).toISOString().slice(11, 16)) },
      { ...AXIS, size: 66, values: (_, ticks) => ticks.map((ms) => (ms === null ? "" : ms >= 1000 ? `${ms / 1000} s` : `${ms} ms`)) },
    ],
    cursor: { drag: { x: false, y: false } },
    legend: { live: true },
  };
}

// Draws, and draws again with other figures; returns a function that takes them.
export function latencyChart(element) {
  let plot = null;
  let shape = "";
  // The legend takes what lines it needs; the picture has the rest.
  const fit = () => {
    if (!plot || !element.clientWidth) return;
    const legend = element.querySelector(".u-legend")?.offsetHeight ?? 0;
    plot.setSize({ width: element.clientWidth, height: Math.max(160, element.clientHeight - legend - 6) });
  };
  new ResizeObserver(fit).observe(element);
  return (measured) => {
    const data = columns(measured);
    const next = `${measured.targetMs}:${measured.blockTimeMs}`;
    if (plot && shape === next) {
      plot.setData(data);
      return;
    }
    shape = next;
    plot?.destroy();
    plot = new window.uPlot(options(element, measured), data, element);
    fit();
  };
}
