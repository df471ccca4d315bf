// Asking again and again while somebody looks.

/**
 * Call `ask` now and every `everyMs` after its last answer, but not while the page is hidden.
 * @param {() => Promise<void>} ask Shows its own errors.
 * @returns {() => void} what ends it.
 */
export function poll(ask, everyMs) {
  let timer = null;
  let ended = false;
  const turn = async () => {
    clearTimeout(timer);
    if (document.visibilityState === "visible") await ask();
    if (!ended) timer = setTimeout(turn, everyMs);
  };
  const seen = () => document.visibilityState === "visible" && turn();
  document.addEventListener("visibilitychange", seen);
  turn();
  return () => {
    ended = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", seen);
  };
}
