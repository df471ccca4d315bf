// What follows a run: its `load` is called at once, and whenever the run has stored something.

export const Live = {
  mounted() {
    window.addEventListener("evomerge:changed", this.load);
    this.load();
  },
  unmounted() {
    window.removeEventListener("evomerge:changed", this.load);
  },
};
