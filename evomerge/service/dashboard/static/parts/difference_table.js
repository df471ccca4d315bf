// Places at which two pieces of plain data differ, with both values.

import { differences } from "evomerge/differences.js";
import { compact, count, plural } from "evomerge/format.js";

const MOST = 200;

export default {
  props: {
    a: { type: Object, required: true },
    b: { type: Object, required: true },
    names: { type: Array, required: true },
    /** What they are, as "run files". */
    what: { type: String, required: true },
  },
  template: `
    <p v-if="!found.length" class="quiet flush">The {{ what }} are the same.</p>
    <div v-else class="table-wrap" tabindex="0" role="group" :aria-label="'What differs in the ' + what">
      <table class="plain">
        <thead><tr><th scope="col">{{ plural(found.length, "place") }}</th>
          <th scope="col" v-for="name in names" class="text-wrap">{{ name }}</th></tr></thead>
        <tbody>
          <tr v-for="item in found.slice(0, most)" :key="item.place">
            <td><code class="text-wrap">{{ item.place }}</code></td>
            <td class="text-wrap" v-for="side in ['a', 'b']"
              :class="{ quiet: item[side] === undefined }">{{ show(item[side]) }}</td>
          </tr>
        </tbody>
      </table>
      <p v-if="found.length > most" class="quiet flush">and {{ count(found.length - most) }} more.</p>
    </div>`,
  data: () => ({ most: MOST }),
  computed: {
    found() {
      return differences(this.a, this.b);
    },
  },
  methods: {
    count,
    plural,
    show(value) {
      if (value === undefined) return "not there";
      if (value === null) return "none";
      return typeof value === "number" && !Number.isInteger(value) ? compact(value) : String(value);
    },
  },
};
