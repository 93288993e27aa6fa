// The ledger's table: sorts and filters in place. Its state is in the address, so that a view can be kept and sent.
(function () {
  const table = document.getElementById('claims-table')
  if (!table) return
  const form = document.getElementById('claims-filters')
  const count = document.getElementById('claims-count')
  const body = table.tBodies[0]
  const rows = Array.from(body.rows)
  const heads = Array.from(table.tHead.rows[0].cells)
  const state = { sort: '', down: false }

  const value = (row, i) => row.cells[i].dataset.sort || row.cells[i].textContent.trim()
  const number = (text) => parseFloat(text.replace('inf', 'Infinity'))
  const order = (a, b) => { // numbers before words
    const [x, y] = [number(a), number(b)]
    if (Number.isNaN(x) && Number.isNaN(y)) return a.localeCompare(b, 'en')
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1
    return x === y ? 0 : x < y ? -1 : 1
  }

  heads.forEach((head) => {
    const button = document.createElement('button')
    button.type = 'button'
    button.textContent = head.textContent
    head.replaceChildren(button)
    button.addEventListener('click', () => {
      state.down = state.sort === head.dataset.column && !state.down
      state.sort = head.dataset.column
      show()
      write()
    })
  })

  function show() {
    const words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean)
    const wanted = ['paper', 'verdict', 'kind', 'carries'].filter((name) => form.elements[name].value)
    const i = heads.findIndex((head) => head.dataset.column === state.sort)
    const sorted = i < 0 ? rows : rows.slice().sort((a, b) => (state.down ? -1 : 1) * order(value(a, i), value(b, i)))
    let shown = 0
    sorted.forEach((row) => {
      const text = row.textContent.toLowerCase()
      row.hidden = !(wanted.every((name) => row.dataset[name] === form.elements[name].value) && words.every((w) => text.includes(w)))
      shown += !row.hidden
      body.appendChild(row)
    })
    heads.forEach((head, j) => head.setAttribute('aria-sort', j !== i ? 'none' : state.down ? 'descending' : 'ascending'))
    count.textContent = shown ? `${shown} of ${rows.length} claims` : `No claim of ${rows.length} is like that; choose "Show all".`
  }

  function write() {
    const address = new URLSearchParams()
    for (const field of form.elements) if (field.name && field.value) address.set(field.name, field.value)
    if (state.sort) address.set('sort', state.sort)
    if (state.down) address.set('down', '1')
    history.replaceState(null, '', `#${address}`)
  }

  function read() {
    const address = new URLSearchParams(location.hash.slice(1))
    for (const field of form.elements) {
      if (!field.name) continue
      field.value = address.get(field.name) || ''
      if (field.selectedIndex === -1) field.value = '' // a word that is none of the choices
    }
    state.sort = address.get('sort') || ''
    state.down = address.has('down')
    show()
  }

  form.hidden = false
  form.addEventListener('submit', (event) => event.preventDefault())
  form.addEventListener('input', () => { show(); write() })
  form.addEventListener('reset', (event) => {
    event.preventDefault()
    history.replaceState(null, '', '#')
    read()
  })
  window.addEventListener('hashchange', read)
  read()
})()
