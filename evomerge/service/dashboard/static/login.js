// Signs in: shows a token once for a session's cookie, and goes on to where the visitor wanted to be.

const find = (id) => document.getElementById(id);

/** Return where to go on: an address of this service, whatever the link said. */
function goal(search, here = location.href) {
  const wanted = new URLSearchParams(search).get("next") ?? "/";
  try {
    const url = new URL(wanted, here);
    // Compared as a browser reads it: it takes "/\t/host" for another host.
    if (wanted.startsWith("/") && url.origin === new URL(here).origin) return url.href;
  } catch {
    // no address at all
  }
  return "/";
}

async function signIn(token) {
  let answer;
  try {
    answer = await fetch("/api/v1/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
    });
  } catch {
    return "The service can't be reached. Try again in a moment.";
  }
  if (answer.ok) return "";
  if (answer.status === 401 || answer.status === 422) return "This token is unknown, was revoked, or has expired.";
  const body = await answer.json().catch(() => null);
  return body?.error?.message ?? `The service answered with HTTP ${answer.status}.`;
}

find("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  find("go").disabled = true;
  const problem = await signIn(find("token").value.trim());
  if (!problem) {
    location.assign(goal(location.search));
    return;
  }
  find("said").textContent = problem;
  find("token").setAttribute("aria-invalid", "true");
  find("token").select();
  find("go").disabled = false;
});
