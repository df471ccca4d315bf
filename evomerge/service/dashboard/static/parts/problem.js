// What went wrong, in words, with the single mistakes where there are several.

export default {
  props: { error: { type: Object, default: null } },
  template: `
    <div v-if="error" class="notice notice-bad" role="alert">
      <div>{{ error.message }}</div>
      <ul v-if="error.problems && error.problems.length">
        <li v-for="item in error.problems"><code v-if="item.key">{{ item.key }}</code> {{ item.message }}</li>
      </ul>
    </div>`,
};
