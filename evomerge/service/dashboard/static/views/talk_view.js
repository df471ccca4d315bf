// Talk to them: prompts to candidates and those that they came from, answers side by side.

import { choose, chosen } from "evomerge/address.js";
import { get, mayOperate, path, send, withQuery } from "evomerge/api.js";
import { poll } from "evomerge/poll.js";
import Problem from "evomerge/parts/problem.js";
import TalkComposer from "evomerge/parts/talk_composer.js";
import TalkHistory from "evomerge/parts/talk_history.js";
import TalkTurn from "evomerge/parts/talk_turn.js";
import { fromTalk, readChoice, toAddress, toBody } from "evomerge/parts/talk_choice.js";

const SOON_MS = 1000;
const LATER_MS = 10000;
const SHOWN = 20;

export default {
  components: { Problem, TalkComposer, TalkHistory, TalkTurn },
  props: { run: String },
  template: `
    <section class="view" aria-labelledby="talk-title">
      <div class="row-line">
        <h2 id="talk-title">Talk to them</h2>
        <span class="quiet">What the models say, before anything is exported.</span>
      </div>
      <Problem :error="error" />
      <p v-if="silent" class="card empty">
        This run evolves networks from scratch. They are no language models, so that they answer no prompts.
      </p>
      <div v-else class="talk-grid">
        <div class="view">
          <p v-if="talks && !talks.length" class="card empty">
            Nothing was asked yet. Choose candidates and ask them something.
          </p>
          <TalkTurn v-for="talk in thread" :key="talk.talk" :run="run" :talk="talk" :operator="operator"
            @answer="answerNow(talk)" />
          <TalkComposer :run="run" :choice="choice" :operator="operator" :busy="busy" :last="last"
            :problem="refused" @change="change" @ask="ask" @anew="open(null)" />
        </div>
        <TalkHistory :talks="talks" :current="current" :more="more" @open="open" @more="showMore" />
      </div>
    </section>`,
  data: () => ({
    talks: null, // newest first
    more: null,
    known: {}, // talks of the thread that the list doesn't hold
    current: null,
    choice: readChoice(chosen()),
    operator: null,
    busy: false,
    error: null,
    refused: null,
    silent: false,
  }),
  computed: {
    /** The turns of the conversation that is open, oldest first. */
    thread() {
      const found = [];
      for (let at = this.find(this.current); at; at = this.find(at.follows)) found.unshift(at);
      return found;
    },
    last() {
      return this.thread.at(-1) ?? null;
    },
    waits() {
      return this.thread.some((talk) => talk.state === "waiting");
    },
  },
  async mounted() {
    this.current = Number(chosen().one("talk")) || null;
    window.addEventListener("evomerge:changed", this.load);
    window.addEventListener("popstate", this.reread);
    this.operator = await mayOperate().catch(() => false);
    await this.load();
    await this.suggest();
    this.leave = poll(this.load, LATER_MS);
    this.leaveSoon = poll(async () => this.waits && (await this.load()), SOON_MS);
  },
  unmounted() {
    this.leave?.();
    this.leaveSoon?.();
    window.removeEventListener("evomerge:changed", this.load);
    window.removeEventListener("popstate", this.reread);
  },
  methods: {
    find(number) {
      if (!number) return null;
      return this.talks?.find((talk) => talk.talk === number) ?? this.known[number] ?? null;
    },
    async load() {
      try {
        const page = await get(withQuery(path("runs", this.run, "talks"), { limit: SHOWN }));
        const older = (this.talks ?? []).filter((talk) => talk.talk < (page.items.at(-1)?.talk ?? 0));
        this.talks = [...page.items, ...older];
        if (!older.length) this.more = page.next;
        await this.fetchThread();
        this.error = null;
      } catch (error) {
        this.error = error;
      }
    },
    /** Fetch the turns of the open conversation that are older than the list. */
    async fetchThread() {
      let number = this.current;
      while (number) {
        const fresh = this.talks.find((talk) => talk.talk === number);
        if (!fresh && this.known[number]?.state !== "done") {
          this.known[number] = await get(path("runs", this.run, "talks", number));
        }
        number = this.find(number).follows;
      }
    },
    async showMore() {
      try {
        const query = { limit: SHOWN, before: this.more };
        const page = await get(withQuery(path("runs", this.run, "talks"), query));
        this.talks = [...this.talks, ...page.items];
        this.more = page.next;
      } catch (error) {
        this.error = error;
      }
    },
    /** Choose somebody where the address names nobody, so that one can ask at once; see if one can. */
    async suggest() {
      try {
        const { best_candidate: best, config } = await get(path("runs", this.run));
        this.silent = Boolean(config?.network);
        if (this.choice.candidates.length) return;
        const talk = this.find(this.current);
        if (talk) this.change(fromTalk(talk));
        else if (best) this.change({ candidates: [best] });
      } catch {
        // The run's bar says what is wrong.
      }
    },
    change(changes) {
      this.choice = { ...this.choice, ...changes };
      this.keep();
    },
    keep() {
      choose({ ...toAddress(this.choice), talk: this.current });
    },
    open(number) {
      this.current = number;
      this.refused = null;
      const talk = this.find(number);
      if (talk) this.choice = fromTalk(talk);
      this.push();
    },
    /** Keep what was open in the browser's history. */
    push() {
      const query = { ...toAddress(this.choice), talk: this.current };
      history.pushState(null, "", withQuery(location.pathname, query));
    },
    reread() {
      this.current = Number(chosen().one("talk")) || null;
      this.choice = readChoice(chosen());
      this.load();
    },
    async ask(prompt, sent) {
      this.busy = true;
      this.refused = null;
      try {
        const body = toBody(this.choice, prompt, this.current);
        const talk = await send("POST", path("runs", this.run, "talks"), body);
        this.known[talk.talk] = talk;
        this.current = talk.talk;
        this.push();
        sent();
        await this.load();
      } catch (error) {
        this.refused = error;
      } finally {
        this.busy = false;
      }
    },
    async answerNow(talk) {
      try {
        await send("POST", path("runs", this.run, "talks", talk.talk, "answer"));
        await this.load();
      } catch (error) {
        this.error = error;
      }
    },
  },
};
