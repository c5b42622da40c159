// Calls of the API: CSRF, idempotency, and problems as words.

export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Never throws: {ok, status, body, detail}; status 0 where no answer came.
export async function api(method, address, { body = null, key = null } = {}) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") {
    headers["Content-Type"] = "application/json";
    headers["X-CSRFToken"] = document.querySelector("meta[name=csrf]").content;
    if (key) headers["Idempotency-Key"] = key;
  }
  let response;
  try {
    response = await fetch(address, {
      method,
      headers,
      body: body === null ? null : JSON.stringify(body),
      credentials: "same-origin",
    });
  } catch {
    const detail = "The server did not answer. It may be restarting: try again.";
    return { ok: false, status: 0, body: {}, detail };
  }
  let answer = {};
  try {
    answer = await response.json();
  } catch {
    answer = {};
  }
  const detail = answer.detail || answer.title || `The server answered ${response.status}.`;
  return {
    ok: response.ok, status: response.status, body: answer, detail,
    request: response.headers.get("X-Request-Id"),
  };
}
