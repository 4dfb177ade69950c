/* The part of Stripe.js that the checkout uses, for the stand-in server. Card fields live in its iframe only. */
(() => {
  "use strict";
  const ORIGIN = new URL(document.currentScript.src).origin;
  const KNOWN_TYPES = ["card", "paynow"];

  function integrationError(message) {
    const error = new Error(message);
    error.name = "IntegrationError";
    return error;
  }

  // Properties set one by one are allowed where the page's policy forbids style attributes.
  function dress(node, rules) {
    for (const [name, value] of Object.entries(rules)) node.style.setProperty(name, value);
    return node;
  }

  function frame(path, query, title) {
    const node = document.createElement("iframe");
    node.src = `${ORIGIN}${path}?${new URLSearchParams({ ...query, origin: location.origin })}`;
    node.title = title;
    return dress(node, { border: "0", width: "100%", display: "block" });
  }

  function listen(node, handler) {
    const receive = (event) => {
      if (event.origin === ORIGIN && event.source === node.contentWindow) handler(event.data);
    };
    addEventListener("message", receive);
    return () => removeEventListener("message", receive);
  }

  class PaymentElement {
    constructor(key, options) {
      this.key = key;
      this.options = options;
      this.handlers = {};
      this.waiting = new Map();
    }

    on(name, handler) {
      (this.handlers[name] ??= []).push(handler);
      return this;
    }

    once(name, handler) {
      const first = (event) => {
        this.off(name, first);
        handler(event);
      };
      return this.on(name, first);
    }

    off(name, handler) {
      this.handlers[name] = (this.handlers[name] ?? []).filter((other) => handler && other !== handler);
      return this;
    }

    mount(target) {
      const place = typeof target === "string" ? document.querySelector(target) : target;
      if (!place) throw integrationError(`The element to mount on, ${target}, does not exist in the page.`);
      const { amount, currency, types, theme } = this.options;
      this.frame = frame("/element", { key: this.key, amount, currency, types, theme }, "Secure payment input frame");
      dress(this.frame, { height: "19rem" });
      this.deaf = listen(this.frame, (message) => this.receive(message));
      place.replaceChildren(this.frame);
    }

    unmount() {
      this.deaf?.();
      this.frame?.remove();
      this.frame = null;
    }

    destroy() {
      this.unmount();
      this.handlers = {};
    }

    focus() {
      this.frame?.focus();
    }

    update() {}

    receive(message) {
      if (message.type === "height") dress(this.frame, { height: `${message.height}px` });
      else if (message.type === "answer") {
        this.waiting.get(message.number)?.(message.answer);
        this.waiting.delete(message.number);
      } else this.tell(message.type, message.detail);
    }

    tell(name, detail) {
      for (const handler of this.handlers[name] ?? []) handler({ elementType: "payment", ...detail });
    }

    ask(question) {
      if (!this.frame) throw integrationError("The Payment Element is not mounted.");
      const number = (this.asked = (this.asked ?? 0) + 1);
      return new Promise((resolve) => {
        this.waiting.set(number, resolve);
        this.frame.contentWindow.postMessage({ question, number }, ORIGIN);
      });
    }
  }

  class Elements {
    constructor(key, options) {
      if ("paymentMethodTypes" in options)
        throw integrationError("paymentMethodTypes is no longer supported: use allowedPaymentMethodTypes.");
      if (options.mode !== "payment") throw integrationError("This stand-in knows mode: 'payment' only.");
      if (!Number.isInteger(options.amount) || options.amount < 1)
        throw integrationError("amount must be a positive integer.");
      if (!/^[a-z]{3}$/.test(options.currency)) throw integrationError("currency must be like 'sgd'.");
      const types = options.allowedPaymentMethodTypes ?? KNOWN_TYPES;
      const unknown = types.find((type) => !KNOWN_TYPES.includes(type));
      if (unknown) throw integrationError(`This stand-in does not know the payment method ${unknown}.`);
      // As at Stripe: PayNow disappears for other currencies and for manual capture.
      const fit = types.filter(
        (type) => type === "card" || (options.currency === "sgd" && options.captureMethod !== "manual"),
      );
      this.key = key;
      const theme = options.appearance?.theme ?? "stripe";
      this.options = { amount: options.amount, currency: options.currency, types: fit.join(","), theme };
    }

    create(type) {
      if (type !== "payment") throw integrationError("This stand-in knows the Payment Element only.");
      if (this.element) throw integrationError("Only one Payment Element may be created.");
      this.element = new PaymentElement(this.key, this.options);
      return this.element;
    }

    getElement(type) {
      return type === "payment" ? (this.element ?? null) : null;
    }

    update(options) {
      Object.assign(this.options, options);
    }

    async submit() {
      if (!this.element) throw integrationError("Create and mount the Payment Element first.");
      const answer = await this.element.ask("submit");
      this.submitted = !answer.error;
      return answer;
    }
  }

  async function call(path, query, body) {
    const options = body ? { method: "POST", body: JSON.stringify(body) } : {};
    const answer = await fetch(`${ORIGIN}${path}?${new URLSearchParams(query)}`, { ...options, credentials: "omit" });
    return answer.json();
  }

  function refOf(clientSecret) {
    const found = /^(pi_[A-Za-z0-9]+)_secret_[A-Za-z0-9]+$/.exec(clientSecret ?? "");
    if (!found) throw integrationError("This is no client secret of a PaymentIntent.");
    return found[1];
  }

  async function retrieve(key, clientSecret) {
    try {
      return await call(`/js/payment_intents/${refOf(clientSecret)}`, { key, client_secret: clientSecret });
    } catch (error) {
      if (error.name === "IntegrationError") throw error;
      return { error: { type: "api_connection_error", message: "The payment service does not answer." } };
    }
  }

  /* One modal dialogue filled by an iframe; resolves when the iframe is done or the patient closes it. */
  function dialogue(path, query, title) {
    return new Promise((resolve) => {
      const box = document.createElement("dialog");
      dress(box, {
        position: "fixed", inset: "0", width: "100vw", height: "100dvh", "max-width": "none",
        "max-height": "none", margin: "0", padding: "0", border: "0", background: "transparent",
        overflow: "hidden",
      });
      box.setAttribute("aria-label", title);
      const inside = dress(frame(path, query, title), { height: "100%", background: "transparent" });
      const before = document.activeElement;
      const finish = (how) => {
        deaf();
        box.close();
        box.remove();
        before?.focus?.();
        resolve(how);
      };
      const deaf = listen(inside, (message) => message.type === "finished" && finish(message.how));
      box.addEventListener("cancel", (event) => {
        event.preventDefault();
        inside.contentWindow.postMessage({ question: "close" }, ORIGIN);
      });
      box.append(inside);
      document.body.append(box);
      box.showModal();
    });
  }

  function settled(answer) {
    const error = answer.paymentIntent?.last_payment_error;
    if (answer.paymentIntent?.status === "requires_payment_method" && error)
      return { error: { ...error, payment_intent: answer.paymentIntent } };
    return answer;
  }

  window.Stripe = (key) => {
    if (!/^pk_test_/.test(key)) throw integrationError("This stand-in takes pk_test_ keys only.");
    return {
      elements: (options = {}) => new Elements(key, options),

      async createConfirmationToken({ elements, params = {} }) {
        if (!elements?.submitted) throw integrationError("Call elements.submit() before createConfirmationToken().");
        if (params.return_url) new URL(params.return_url);
        const answer = await elements.element.ask("token");
        elements.submitted = false;
        return answer;
      },

      async handleNextAction({ clientSecret }) {
        const first = await retrieve(key, clientSecret);
        if (first.error || first.paymentIntent.status !== "requires_action") return first;
        const query = { key, client_secret: clientSecret, ref: first.paymentIntent.id };
        const paynow = first.paymentIntent.next_action.type === "paynow_display_qr_code";
        if (paynow) await dialogue("/paynow", query, "Pay with PayNow");
        else await dialogue("/challenge", query, "Confirm with your bank");
        return settled(await retrieve(key, clientSecret));
      },

      retrievePaymentIntent: (clientSecret) => retrieve(key, clientSecret),
    };
  };
  window.Stripe.version = "endive";
})();
