// Asks how the payment stands until there is something new to show. The page itself is never reloaded for nothing.
const SECONDS = 3;
const { waiting, standing } = document.querySelector("[data-waiting]").dataset;

async function ask() {
  const answer = await fetch(waiting, { headers: { Accept: "application/json" } }).catch(() => null);
  const facts = await answer?.json().catch(() => null);
  if (facts && (facts.redirect || facts.status !== standing)) return location.replace(facts.redirect ?? waiting);
  setTimeout(ask, SECONDS * 1000);
}

setTimeout(ask, SECONDS * 1000);
