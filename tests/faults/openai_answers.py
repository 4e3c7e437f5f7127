"""What OpenAI and the servers that speak its API answer instead of a stream."""
# ruff: noqa: E501 — a row is a line

from __future__ import annotations

import json
from typing import Any

from tests.faults.case import MARK, Case
from tests.faults.upstreams import answers, said

GUIDE = "OpenAI's guide, Error codes"
SDK = "openai-python, tests and README"
RATE = (
    "Rate limit reached for gpt-4o-mini in organization org-1 on requests per min (RPM): Limit 3, Used 3, Requested 1."
)
QUOTA = "You exceeded your current quota, please check your plan and billing details."
KEY = (
    "Incorrect API key provided: sk-12***34. You can find your API key at https://platform.openai.com/account/api-keys."
)
LONG = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens."
TOO_MANY = "max_tokens is too large: 100000. This model supports at most 16384 completion tokens."
NO_MODEL = "The model `gpt-9` does not exist or you do not have access to it."
AZURE_FILTER = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."
TGI_LONG = "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens"
GEMINI_LONG = "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576)."
LLAMA_LONG = "the request exceeds the available context size (4096 tokens), try increasing it"
XAI_LONG = "This model's maximum prompt length is 131072 but the request contains 537812 tokens."
LMSTUDIO_LONG = "Trying to keep the first 4000 tokens when context the overflows. However, the model is loaded with context length of only 2048 tokens."
SERVER = "The server had an error while processing your request. Sorry about that!"
INVALID = "invalid_request_error"


def vllm(code: int, kind: str, message: str) -> dict[str, Any]:
    return {"object": "error", "message": f"{message} {MARK}", "type": kind, "param": None, "code": code}


def log(status: int, kind: str | None = None, code: str | None = None, **more: object) -> dict[str, object]:
    return {"upstream_status": status, "upstream_type": kind, "upstream_code": code, **more}


ANSWERS = [
    Case("400", answers(400, said(INVALID, "you must provide a model parameter")), "invalid_request",
         log=log(400, INVALID), source=SDK),
    Case("400 with a param", answers(400, said(INVALID, TOO_MANY, "invalid_value", "max_tokens")), "invalid_request",
         log=log(400, INVALID, "invalid_value", upstream_param="max_tokens"), source=GUIDE),
    Case("400 context overflow by code", answers(400, said(INVALID, LONG, "context_length_exceeded", "messages")),
         "context_length", log=log(400, INVALID, "context_length_exceeded", upstream_param="messages"), source=GUIDE),
    Case("400 context overflow by message", answers(400, said(INVALID, LONG)), "context_length", source=GUIDE),
    Case("400 context overflow, code an int", answers(400, vllm(400, "BadRequestError", LONG)), "context_length",
         log=log(400, "BadRequestError", "400"), source="vLLM"),
    Case("400 context overflow, llama.cpp", answers(400, said("exceed_context_size_error", LLAMA_LONG, 400, n_ctx=4096)),
         "context_length", log=log(400, "exceed_context_size_error", "400"), source="llama.cpp"),
    Case("422 context overflow, TGI", answers(422, {"error": f"{TGI_LONG} {MARK}", "error_type": "validation"}),
         "context_length", log=log(422), source="Text Generation Inference"),
    Case("400 context overflow, Gemini", answers(400, [said(None, GEMINI_LONG, 400, status="INVALID_ARGUMENT")]),
         "context_length", log=log(400, None, "400"), source="Gemini's OpenAI compatibility: a list"),
    Case("400 context overflow, xAI", answers(400, {"code": "Client specified an invalid argument", "error": XAI_LONG}),
         "context_length", log=log(400), source="xAI"),
    Case("400 context overflow, LM Studio", answers(400, {"error": LMSTUDIO_LONG}), "context_length", source="LM Studio"),
    Case("413 context overflow", answers(413, said(INVALID, "Prompt is too long")), "context_length"),
    Case("400 content filter", answers(400, said(None, AZURE_FILTER, "content_filter", "prompt", status=400)),
         "content_filter", log=log(400, None, "content_filter", upstream_param="prompt"), source="Azure OpenAI"),
    Case("400 usage policy", answers(400, said(INVALID, "Your request was rejected by our safety system.",
                                               "content_policy_violation")), "content_filter", source=GUIDE),
    Case("400 without money", answers(400, said(INVALID, "Billing hard limit has been reached", "billing_hard_limit_reached")),
         "quota_exceeded", log=log(400, INVALID, "billing_hard_limit_reached"), source=GUIDE),
    Case("400 with a lone surrogate", answers(400, f'{{"error":{{"message":"{LONG} \\ud83d","type":"{INVALID}"}}}}'),
         "context_length", log=log(400, INVALID)),
    Case("400 that quotes a prompt of 100 KB", answers(400, said(INVALID, "x" * 100_000, "context_length_exceeded")),
         "context_length", log=log(400, INVALID, "context_length_exceeded")),
    Case("401", answers(401, said(INVALID, KEY, "invalid_api_key"), x_request_id="req_011CQ"), "provider_auth",
         log=log(401, INVALID, "invalid_api_key", upstream_request_id="req_011CQ"), source=GUIDE),
    Case("401 code null", answers(401, said(INVALID, "You must be a member of an organization to use the API.")),
         "provider_auth", log=log(401, INVALID), source=GUIDE),
    Case("400 wrong key, Gemini", answers(400, [said(None, "API key not valid. Please pass a valid API key.", 400,
         status="INVALID_ARGUMENT", details=[{"reason": "API_KEY_INVALID"}])]), "provider_auth", log=log(400, None, "400"), source="Gemini"),
    Case("400 wrong key, xAI", answers(400, {"code": "Client specified an invalid argument", "error": f"Incorrect API key provided: {MARK}."}),
         "provider_auth", log=log(400), source="xAI"),
    Case("403 without money, xAI", answers(403, {"code": "permission-denied", "error": "Your team has used all available credits."}),
         "quota_exceeded", source="xAI"),
    Case("403 content filter, OpenRouter", answers(403, said(None, "x requires moderation. Your input was flagged.", 403)), "content_filter",
         source="OpenRouter"),
    Case("429 with a wait in the body", answers(429, said("requests", "Please try again in 90s.", "rate_limit_exceeded")), "rate_limited",
         retry_after=90, source=GUIDE),
    Case("400 as an event", answers(400, 'event:error\n:HTTP_STATUS/400\ndata:{"code":"DataInspectionFailed","message":"x"}\n\n', "text/event-stream"),
         "content_filter", log=log(400, None, "DataInspectionFailed"), source="Alibaba Cloud Model Studio"),
    Case("400 as a sentence", answers(400, f"Incorrect API key provided: {MARK}", "text/plain"), "provider_auth", log=log(400)),
    Case("400 as a JSON string", answers(400, json.dumps("Incorrect API key provided")), "provider_auth", log=log(400)),
    Case("404 as a sentence", answers(404, "404 page not found", "text/plain"), "invalid_request", log=log(404), source="Go's net/http"),
    Case("200 that says it is a stream, with an error", answers(200, said("server_error", "x", 429), "text/event-stream"), "rate_limited",
         log=log(200, "server_error", "429")),
    Case("402", answers(402, said("unknown_error", "Insufficient Balance", "invalid_request_error")), "quota_exceeded",
         log=log(402, "unknown_error", INVALID), source="DeepSeek"),
    Case("402 OpenRouter", answers(402, said(None, "Insufficient credits.", 402)), "quota_exceeded", source="OpenRouter"),
    Case("403 country", answers(403, said("request_forbidden", "Country, region, or territory not supported",
                                          "unsupported_country_region_territory")), "provider_auth", source=GUIDE),
    Case("403 model", answers(403, said(INVALID, "Project `p` does not have access to model `o3`", "model_not_found")),
         "model_not_found", log=log(403, INVALID, "model_not_found"), source=GUIDE),
    Case("404 model", answers(404, said(INVALID, NO_MODEL, "model_not_found")), "model_not_found",
         log=log(404, INVALID, "model_not_found"), source=GUIDE),
    Case("404 model, Ollama", answers(404, said("api_error", 'model "x" not found, try pulling it first')),
         "model_not_found", log=log(404, "api_error"), source="Ollama"),
    Case("404 model, vLLM", answers(404, vllm(404, "NotFoundError", NO_MODEL)), "model_not_found", source="vLLM"),
    Case("404 deployment", answers(404, said(None, "The API deployment for this resource does not exist.",
                                             "DeploymentNotFound")), "model_not_found", source="Azure OpenAI"),
    Case("404 wrong address", answers(404, said(INVALID, "Invalid URL (POST /v1/v1/chat/completions)")), "invalid_request",
         log=log(404, INVALID), source="api.openai.com"),
    Case("404 wrong address, FastAPI", answers(404, {"detail": "Not Found"}), "invalid_request", source="vLLM"),
    Case("408", answers(408, said("server_error", "Request timed out.")), "upstream_error", log=log(408, "server_error"), source=SDK),
    Case("409", answers(409, said(INVALID, "Conflict")), "upstream_error", log=log(409, INVALID), source=SDK),
    Case("422", answers(422, said(INVALID, "Unprocessable")), "invalid_request", log=log(422, INVALID), source=SDK),
    Case("422 FastAPI", answers(422, {"detail": [{"loc": ["body"], "msg": MARK}]}), "invalid_request", log=log(422)),
    Case("429 requests", answers(429, said("requests", RATE, "rate_limit_exceeded"), Retry_After="20"), "rate_limited",
         retry_after=20, log=log(429, "requests", "rate_limit_exceeded"), source=GUIDE),
    Case("429 tokens", answers(429, said("tokens", RATE, "rate_limit_exceeded")), "rate_limited",
         log=log(429, "tokens", "rate_limit_exceeded"), source=GUIDE),
    Case("429 without money", answers(429, said("insufficient_quota", QUOTA, "insufficient_quota"), Retry_After="20"),
         "quota_exceeded", retry_after=20, log=log(429, "insufficient_quota", "insufficient_quota"), source=GUIDE),
    Case("429 without money, code null", answers(429, said("insufficient_quota", QUOTA)), "quota_exceeded", source=GUIDE),
    Case("429 Azure", answers(429, said(None, "Requests have exceeded call rate limit.", "429"), Retry_After="2"),
         "rate_limited", retry_after=2, log=log(429, None, "429"), source="Azure OpenAI"),
    Case("429 code an int", answers(429, said(None, "Rate limit exceeded: free-models-per-min.", 429)), "rate_limited",
         log=log(429, None, "429"), source="OpenRouter"),
    Case("500", answers(500, said("server_error", SERVER)), "upstream_error", log=log(500, "server_error"), source=GUIDE),
    Case("500 with a code that speaks of the request", answers(500, said(INVALID, LONG)), "upstream_error"),
    Case("503", answers(503, said("server_error", "The engine is currently overloaded, please try again later")),
         "overloaded", log=log(503, "server_error"), source=GUIDE),
    Case("503 while a model loads", answers(503, said("unavailable_error", "Loading model", 503)), "overloaded",
         log=log(503, "unavailable_error", "503"), source="llama.cpp"),
    Case("a code with spaces", answers(400, said(f"a sentence {MARK}", "x", f"another {MARK}")), "invalid_request", log=log(400)),
    Case("200 JSON with an error", answers(200, said("server_error", SERVER)), "upstream_error", log=log(200, "server_error")),
    Case("200 JSON, whole answer", answers(200, {"choices": [{"message": {"content": MARK}}]}), "upstream_error"),
]  # fmt: skip
