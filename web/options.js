/** The request's further fields, as they are filled in under Options. */

const find = (id) => document.getElementById(id);

/** The fields that are not empty. */
export const requestFields = () => ({
  system: find("system").value || undefined,
  max_tokens: number("max_tokens"),
  temperature: number("temperature"),
});

/** A field's number, or undefined; what is no number goes out as it is, to be refused by name. */
function number(id) {
  const field = find(id);
  if (field.validity.badInput) return "";
  return field.value === "" ? undefined : field.valueAsNumber;
}
