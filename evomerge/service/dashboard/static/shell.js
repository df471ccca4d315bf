// What the header's buttons do, on every page.

import { path, send } from "evomerge/api.js";

const YEAR_S = 365 * 24 * 3600;

function switchTheme() {
  const dark = !Quasar.Dark.isActive;
  document.cookie = `evomerge_theme=${dark ? "dark" : "light"}; path=/; max-age=${YEAR_S}; samesite=lax`;
  setDark(dark);
  window.dispatchEvent(new CustomEvent("evomerge:theme"));
}

async function signOut() {
  await send("DELETE", path("session"));
  location.assign("/login");
}

window.evomerge = { switchTheme, signOut };
