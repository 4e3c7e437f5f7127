/** A component that asks in an effect, under StrictMode, which runs each effect twice. `window.chat` is what it has. */

import { StrictMode, useEffect } from "react";
import { createRoot } from "react-dom/client";
import { useStream } from "llm-streamserver-client/react";

const url = new URLSearchParams(location.search).get("url");

function Chat() {
  const chat = useStream({ url, grace: 0 });
  const { start } = chat;
  useEffect(() => void start({ prompt: "in an effect" }), [start]);
  window.chat = chat;
  return <output data-status={chat.status} data-error={chat.error?.code}>{chat.text}</output>;
}

window.root = createRoot(document.getElementById("root"));
window.root.render(<StrictMode><Chat /></StrictMode>);
