// The two charts, in the console's colours. Positions are for eyes: floats end here.

import {
  BaselineSeries, ColorType, LineSeries, createChart,
} from "../vendor/lightweight-charts/lightweight-charts.js";

const COLOURS = ["#6ea8fe", "#3ecf9a", "#f0b849", "#b79cff", "#ff7b7b", "#7fd7e8", "#d4a373"];

function chart(element) {
  const made = createChart(element, {
    autoSize: true,
    layout: {
      // The logo brings an inline style that the content policy refuses; the link is in Keyboard.
      attributionLogo: false,
      background: { type: ColorType.Solid, color: "transparent" },
      textColor: "#a3abbd",
      fontFamily: "JetBrains Mono, monospace",
      fontSize: 11,
    },
    grid: { vertLines: { color: "#1f2637" }, horzLines: { color: "#1f2637" } },
    rightPriceScale: { borderColor: "#2a3247" },
    timeScale: { borderColor: "#2a3247", timeVisible: true, secondsVisible: false },
    handleScroll: { mouseWheel: false, vertTouchDrag: false },
    handleScale: { mouseWheel: false },
  });
  return made;
}

export function profitChart(element) {
  const made = chart(element);
  const series = made.addSeries(BaselineSeries, {
    baseValue: { type: "price", price: 0 },
    topLineColor: "#3ecf9a", topFillColor1: "#3ecf9a44", topFillColor2: "#3ecf9a08",
    bottomLineColor: "#ff7b7b", bottomFillColor1: "#ff7b7b08", bottomFillColor2: "#ff7b7b44",
    lineWidth: 2,
    priceFormat: { type: "price", precision: 4, minMove: 0.0001 },
  });
  return {
    set(points) {
      series.setData(points);
      made.timeScale().fitContent();
    },
  };
}

// points: [{at, balanceWei}], oldest first
export function balanceChart(element, points) {
  const made = chart(element);
  const series = made.addSeries(LineSeries, {
    color: COLOURS[0], lineWidth: 2, priceFormat: { type: "price", precision: 4, minMove: 0.0001 },
  });
  const at = new Map(points.map((point) => [
    Math.floor(Date.parse(point.at) / 1000), Number(BigInt(point.balanceWei) / 10n ** 9n) / 1e9,
  ]));
  series.setData([...at].map(([time, value]) => ({ time, value })));
  new ResizeObserver(() => made.timeScale().fitContent()).observe(element);
  return made;
}

// history: {dex: [{at, close}]}
export function venueChart(element, history, names) {
  const made = chart(element);
  let n = 0;
  for (const [dex, points] of Object.entries(history)) {
    const series = made.addSeries(LineSeries, {
      color: COLOURS[n++ % COLOURS.length], lineWidth: 2, title: names[dex] ?? dex,
      priceFormat: { type: "price", precision: 6, minMove: 0.000001 },
    });
    series.setData(points.map((point) => ({ time: Date.parse(point.at) / 1000, value: Number(point.close) })));
  }
  made.timeScale().fitContent();
  return made;
}
