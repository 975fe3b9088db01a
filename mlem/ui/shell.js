// A script that was lost on the way is not asked for again by a browser until the page is opened anew, and what it was to show says
// "Failed to fetch" meanwhile. So the page is opened anew, from its link, as soon as the server answers; a few times at most, in
// case that it is not the way that is broken. It stands in the page itself, since any other file may be the lost one.
(() => {
  const MOST = 5, QUIET = 60000; // visits; ms
  const KEY = "mlem.visits";
  let again;

  async function answers() {
    try {
      return (await fetch("./_stcore/health", { cache: "no-store" })).ok;
    } catch {
      return false;
    }
  }

  async function visitAgain() {
    const visits = Number(sessionStorage.getItem(KEY));
    if (visits >= MOST) return;
    for (let wait = 250; !(await answers()); wait = Math.min(2 * wait, 8000)) await new Promise((on) => setTimeout(on, wait));
    sessionStorage.setItem(KEY, visits + 1);
    location.reload();
  }

  const lost = () => (again ??= visitAgain());
  const isFile = (element) => element instanceof HTMLScriptElement || (element instanceof HTMLLinkElement && element.rel === "stylesheet");
  addEventListener("vite:preloadError", lost); // which Streamlit's own imports tell
  addEventListener("error", ({ target }) => isFile(target) && lost(), true);
  addEventListener("load", () => setTimeout(() => again || sessionStorage.removeItem(KEY), QUIET));
})();
