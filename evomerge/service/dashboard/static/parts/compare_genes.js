// In which genes several candidates differ.

import { leaves } from "evomerge/differences.js";
import { compact, count } from "evomerge/format.js";

const FEW = 40;

export default {
  props: { details: Array },
  template: `
    <section class="card" aria-labelledby="genes-title">
      <div class="card-title"><h2 id="genes-title">Genes that differ</h2>
        <span class="quiet">{{ count(rows.length) }} of {{ count(places.length) }}</span></div>
      <p v-if="!rows.length" class="quiet flush">
        {{ places.length ? "None: they are the same." : "None of them has a genome." }}</p>
      <div v-else class="table-wrap" tabindex="0" role="region" aria-label="Table of genes that differ">
      <table class="plain">
        <thead><tr><th scope="col">gene</th>
          <th v-for="(item, i) in details" scope="col" class="number">{{ i + 1 }}: {{ item.candidate }}</th>
          </tr></thead>
        <tbody><tr v-for="row in shown" :key="row.place">
          <th scope="row" class="text-wrap">{{ row.place }}</th>
          <td v-for="value in row.values" class="number">{{ said(value) }}</td></tr></tbody>
      </table></div>
      <button v-if="rows.length > shown.length" type="button" class="button button-quiet" @click="all = true">
        Show all {{ count(rows.length) }}</button>
    </section>`,
  data: () => ({ all: false }),
  computed: {
    genes() {
      return this.details.map((item) => new Map(item.genome ? leaves(item.genome) : []));
    },
    places() {
      return [...new Set(this.genes.flatMap((genes) => [...genes.keys()]))];
    },
    rows() {
      return this.places
        .map((place) => ({ place, values: this.genes.map((genes) => genes.get(place)) }))
        .filter(({ values }) => values.some((value) => value !== values[0]));
    },
    shown() {
      return this.all ? this.rows : this.rows.slice(0, FEW);
    },
  },
  methods: {
    count,
    said(value) {
      if (value === undefined) return "–";
      return typeof value === "number" ? compact(value) : String(value);
    },
  },
};
