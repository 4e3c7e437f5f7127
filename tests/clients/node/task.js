// What all clients are asked, and the tool that they have.

export const QUESTION = "What time is it?";
export const TIMEOUT = 60;
export const SCHEMA = {
  type: "object",
  properties: { tz: { type: "string" } },
  required: ["tz"],
  additionalProperties: false,
};
