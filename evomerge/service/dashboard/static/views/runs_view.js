import { get, path } from "evomerge/api.js";
export default {
  template: `<ul><li v-for="r in runs"><a :href="'/runs/'+r.run_id+'/front'">{{r.name}}</a></li></ul>`,
  data: () => ({ runs: [] }),
  async mounted() { this.runs = (await get(path("runs"))).items; },
};
