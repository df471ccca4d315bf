// What was asked of the run's models before, newest first.

import { plural, when } from "evomerge/format.js";

export default {
  props: {
    /** Newest first; null while they are fetched. */
    talks: { type: Array, default: null },
    current: { type: Number, default: null },
    /** There are older ones. */
    more: { type: Number, default: null },
  },
  emits: ["open", "more"],
  template: `
    <aside class="card talk-history" aria-labelledby="talk-history">
      <h2 id="talk-history" class="card-title">Earlier prompts</h2>
      <template v-if="talks === null">
        <q-skeleton v-for="n in 3" :key="n" type="text" height="32px" />
      </template>
      <p v-else-if="!talks.length" class="quiet">None yet.</p>
      <ul v-else>
        <li v-for="talk in talks" :key="talk.talk">
          <button type="button" :aria-current="talk.talk === current ? 'true' : null"
            @click="$emit('open', talk.talk)">
            <span class="talk-line">{{ talk.prompt }}</span>
            <span class="quiet small">{{ facts(talk) }}</span>
          </button>
        </li>
      </ul>
      <button v-if="more" type="button" class="link" @click="$emit('more')">Show older ones</button>
    </aside>`,
  methods: {
    facts(talk) {
      const found = [`${talk.by}, ${when(talk.asked_s)}`, plural(talk.answers.length, "model")];
      if (talk.follows) found.push("follows");
      if (talk.state === "waiting") found.push("waits");
      return found.join(" · ");
    },
  },
};
