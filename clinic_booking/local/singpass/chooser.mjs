// The page on which somebody trying the demo chooses who to be. Singpass shows a QR code here.
const escape = text => String(text).replace(/[&<>"']/g, sign => `&#${sign.charCodeAt(0)};`)

const STYLE = `
  :root { color-scheme: light dark }
  body { font: 1rem/1.5 system-ui, sans-serif; margin: 0; padding: 1rem }
  main { max-width: 26rem; margin: 2rem auto }
  p.sign { border: 2px solid #c4161c; border-radius: .5rem; padding: .5rem .75rem }
  button { display: block; width: 100%; min-height: 3.25rem; margin: .5rem 0; padding: .5rem 1rem; font: inherit;
    text-align: left; border: 1px solid #767676; border-radius: .5rem; background: Canvas; color: CanvasText;
    cursor: pointer }
  button:hover, button:focus-visible { outline: 3px solid #c4161c; outline-offset: 1px }
  small { display: block }`

export function chooser(personas) {
  const buttons = personas.map(each => `<button name="persona" value="${escape(each.sub)}"><b>${escape(each.label)}</b>`
    + `<small>${escape(each.note ?? '')}</small></button>`)
  return `<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Singpass (demonstration)</title>
<style>${STYLE}</style></head><body><main><h1>Who logs in?</h1>
<p class="sign">This is not Singpass. It stands in for it in the demonstration: nobody here is real.</p>
<form method="post">${buttons.join('')}<button name="cancel" value="1"><b>Cancel</b><small>as if the login was given up</small>
</button></form></main></body></html>`
}
