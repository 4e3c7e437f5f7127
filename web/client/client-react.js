/** A React hook over the client. Documented in client-react.d.ts. */

import { useEffect, useMemo, useRef, useState } from "react";
import { StreamError, stream } from "./client.js";

const IDLE = { status: "idle", text: "", error: null };

export function useStream(defaults) {
  const [state, setState] = useState(IDLE);
  const self = useRef({}).current;
  self.defaults = defaults;

  useEffect(() => {
    clearTimeout(self.leaving);
    // Later: StrictMode unmounts and mounts again at once.
    return () => void (self.leaving = setTimeout(() => self.abort?.abort()));
  }, [self]);

  const actions = useMemo(() => {
    async function start(request) {
      const body = typeof request === "string" ? { prompt: request } : request;
      const fingerprint = JSON.stringify(body);
      // A second click, or StrictMode's second effect: the answer is on its way.
      if (self.answer && self.fingerprint === fingerprint) return;
      stop();
      const abort = (self.abort = new AbortController());
      const show = (change) => self.abort === abort && setState((before) => ({ ...before, ...change }));
      Object.assign(self, { request: body, fingerprint });
      show({ ...IDLE, status: "connecting" });
      let answer;
      try {
        const onStatus = (status) => self.answer === answer && status !== "connecting" && show({ status: SHOWN[status] });
        answer = self.answer = stream(self.defaults.url, { ...self.defaults, ...body, url: undefined, signal: abort.signal, onStatus });
        for await (const event of answer) {
          if (event.type === "text") setState((before) => (self.abort === abort ? { ...before, text: before.text + event.text } : before));
        }
        finish(answer, show, { status: "done" });
      } catch (error) {
        if (!(error instanceof StreamError)) return; // left
        finish(answer, show, error.code === "cancelled" ? { status: "stopped" } : { status: "error", error });
      }
    }

    function finish(answer, show, change) {
      if (self.answer === answer) self.answer = null;
      show(change);
    }

    const stop = async () => void (await self.answer?.stop());
    const retry = () => (self.request ? start(self.request) : undefined);
    return { start, stop, retry };
  }, [self]);

  return { ...actions, ...state };
}

const SHOWN = { open: "streaming", quiet: "streaming", reconnecting: "reconnecting" };
