import { get, path } from "evomerge/api.js";
function loadPlotly() {
  return new Promise((done, failed) => {
    const s = document.createElement("script");
    s.src = import.meta.resolve("evomerge/plotly.min.js");
    s.onload = () => done(window.Plotly); s.onerror = failed;
    document.head.append(s);
  });
}
export default {
  props: { run: String },
  template: `<div ref="chart" style="height:600px"></div>`,
  async mounted() {
    const [P, f] = await Promise.all([loadPlotly(), get(path("runs", this.run, "front"))]);
    const [a, b] = f.objectives.map(o => o.name);
    await P.newPlot(this.$refs.chart, [
      {type:"scattergl", mode:"markers", x:f.others.value[a], y:f.others.value[b]},
      {type:"scattergl", mode:"markers", x:f.front.value[a], y:f.front.value[b]}], {});
    requestAnimationFrame(() => { performance.mark("evomerge:painted"); window.painted = performance.now(); });
  },
};
