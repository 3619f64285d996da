// Follows a job: by server-sent events, and by asking now and then where those do not come through.

import { Problem, get } from "../api.js";
import { complain } from "../telling.js";

const ASK_MS = 1500;

/** A browser has six connections to a server, all its tabs together: a page that kept many would stop its own requests. */
const MOST_STREAMS = 1;
let streams = 0;

const FINAL = new Set(["done", "failed", "cancelled"]);

/** @param {{state: string}} job */
export const isFinal = (job) => FINAL.has(job.state);

/**
 * @param {string} id
 * @param {AbortSignal} signal ends it
 * @param {(job: any) => void} onJob called with each state that is seen, the final one last
 */
export function followJob(id, signal, onJob) {
  let ended = false;
  let asking = false;
  const source = streams < MOST_STREAMS ? new EventSource(`/v1/jobs/${id}/events`) : null;
  if (source) streams += 1;
  let closed = !source;
  const close = () => {
    if (closed) return;
    closed = true;
    streams -= 1;
    source?.close();
  };
  const seen = (job) => {
    if (ended || signal.aborted) return;
    ended = isFinal(job);
    if (ended) close();
    onJob(job);
  };
  for (const kind of ["progress", "finished"]) {
    source?.addEventListener(kind, (event) => seen(JSON.parse(/** @type {MessageEvent} */ (event).data)));
  }
  source?.addEventListener("error", () => { if (!asking) ask(); });
  signal.addEventListener("abort", close);
  if (!source) ask();

  /** The browser goes on trying to connect, unless the service refused; until it does, this asks. */
  async function ask() {
    asking = true;
    while (!ended && !signal.aborted && source?.readyState !== EventSource.OPEN) {
      try {
        seen(await get(`/v1/jobs/${id}`, signal));
      } catch (error) {
        if (!(error instanceof Problem) || ![0, 429, 503].includes(error.status)) {
          complain(error);
          return;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, ASK_MS));
    }
    asking = false;
  }
}
