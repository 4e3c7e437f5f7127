#!/bin/sh
# vllm-router, a pass-through in Rust: pip install vllm-router, in an environment of its own, which VLLM_ROUTER may name.
exec "${VLLM_ROUTER:-vllm-router}" --host 127.0.0.1 --port "$PORT" --worker-urls "$UPSTREAM" --policy round_robin \
  --log-level error --max-concurrent-requests 20000
