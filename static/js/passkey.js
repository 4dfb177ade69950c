// Passkeys: a form asks the server what to ask the device, asks the device, and is sent with the answer.
const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

function forDevice(options) {
  const asked = options.publicKey;
  asked.challenge = bytes(asked.challenge);
  if (asked.user) asked.user.id = bytes(asked.user.id);
  for (const one of [...(asked.allowCredentials ?? []), ...(asked.excludeCredentials ?? [])]) one.id = bytes(one.id);
  return { publicKey: asked };
}

function forServer(credential) {
  const { response } = credential;
  const parts = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
  return JSON.stringify({
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: Object.fromEntries(parts.filter((part) => response[part]).map((part) => [part, text(response[part])])),
  });
}

async function asked(form) {
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
  const headers = { "X-CSRFToken": token, Accept: "application/json" };
  const answer = await fetch(form.dataset.optionsUrl, { method: "POST", headers });
  if (!answer.ok) throw new Error(String(answer.status));
  return forDevice(await answer.json());
}

async function use(form) {
  const said = form.querySelector("[data-passkey-said]");
  if (!window.PublicKeyCredential) {
    said.textContent = form.dataset.textUnable;
    return;
  }
  try {
    const options = await asked(form);
    const device = navigator.credentials;
    const credential = form.dataset.passkey === "create" ? await device.create(options) : await device.get(options);
    form.elements.credential.value = forServer(credential);
    HTMLFormElement.prototype.submit.call(form);
  } catch (error) {
    said.textContent = error.name === "SecurityError" ? form.dataset.textUnable : form.dataset.textFailed;
    form.querySelector("button").removeAttribute("aria-busy");
  }
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (form.reportValidity()) use(form);
  });
}
