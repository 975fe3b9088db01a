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

// A connection through which nothing passes any more, as of a wifi that was left, is not closed: a browser that waits for an answer
// waits until its system gives up, which takes many minutes, and shows a page at work. So where no answer comes for a while the
// server is asked whether it hears, which it answers at once, whatever it computes. If it does not, Streamlit is told that the
// connection is lost: it makes another one, and sends anew what the page's controls show.
(() => {
  const QUIET = 5000, MOST = 60000; // ms
  const HEARTBEAT = new Uint8Array([0x88, 1, 1]); // Streamlit's BackMsg(app_heartbeat=True)
  let patience = 10000; // ms; more after each loss, in case that the answer is large and the way slow

  globalThis.WebSocket = class extends WebSocket {
    #wait;

    constructor(...how) {
      super(...how);
      for (const kind of ["message", "close"]) this.addEventListener(kind, () => this.#stop());
    }

    send(message) {
      super.send(message);
      this.#wait ??= setTimeout(() => this.#ask(), QUIET);
    }

    #stop() {
      clearTimeout(this.#wait);
      this.#wait = undefined;
    }

    #ask() {
      this.#wait = setTimeout(() => this.#lose(), patience);
      this.send(HEARTBEAT);
    }

    #lose() {
      patience = Math.min(2 * patience, MOST);
      this.close(); // of which the browser tells only when it has waited for an answer
      this.dispatchEvent(new CloseEvent("close", { code: 4000, reason: "no answer" }));
    }
  };
})();
