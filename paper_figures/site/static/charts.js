// A button at each figure whose curves are there: it puts a chart to zoom and to read off in the place of the picture.
const charts = {}; // name of a figure -> {spec, panels}, which the script of the figure fills

(function () {
  const here = document.currentScript.src.replace(/[^/]*$/, '')
  const LAYERS = {
    band: (mark) => mark.kind === 'band',
    across: (mark) => mark.kind === 'bars' && 'x' in mark,
    along: (mark) => mark.kind === 'bars' && !('x' in mark),
    line: (mark) => mark.kind === 'line',
    points: (mark) => mark.kind === 'line' || mark.kind === 'points',
  }
  const SMALL = 8, LARGE = 32 // areas of points: on plain lines they are there to be pointed at

  const load = (source) => new Promise((resolve, reject) => {
    if (document.querySelector(`script[src="${source}"]`)) return resolve()
    const script = Object.assign(document.createElement('script'), { src: source, onload: resolve, onerror: reject })
    document.head.append(script)
  })

  // The numbers of one mark as rows; on an axis of logarithms a number that is not positive is a gap.
  function rowsOf (mark, curve, panel) {
    const along = 'x' in mark && mark.kind !== 'line' && mark.kind !== 'points' ? 'y' : 'x'
    const axes = { x: panel.x, y: panel.y, low: panel[along], high: panel[along] }
    const names = Object.keys(axes).filter((name) => name in mark)
    const value = (name, number) => number > 0 || axes[name].scale !== 'log' ? number : null
    const size = mark.kind === 'line' && !mark.marked ? SMALL : LARGE
    return mark[names[0]].map((_, order) => ({
      curve, order, size, name: mark.label, ...Object.fromEntries(names.map((name) => [name, value(name, mark[name][order])])),
    }))
  }

  function filled ({ spec, panels }) {
    const datasets = {}
    panels.forEach((panel, i) => Object.entries(LAYERS).forEach(([layer, fits]) => {
      datasets[`${i}_${layer}`] = panel.marks.flatMap((mark, curve) => fits(mark) ? rowsOf(mark, curve, panel) : [])
    }))
    const columns = document.body.clientWidth < 800 ? 1 : spec.columns
    return { ...spec, columns, datasets }
  }

  document.querySelectorAll('figure.plot[data-curves]').forEach((figure) => {
    const name = figure.dataset.curves, picture = figure.querySelector('a')
    const place = Object.assign(document.createElement('div'), { className: 'chart', hidden: true })
    const button = Object.assign(document.createElement('button'), { type: 'button', className: 'zoom' })
    const show = (chart) => {
      place.hidden = !chart
      picture.hidden = chart
      button.textContent = chart ? 'Show the picture' : 'Zoom and read off'
    }
    button.addEventListener('click', async () => {
      if (!place.childElementCount) {
        await load(`${here}vega.js`)
        await load(`${here}../figures/${name}.js`)
        await vegaEmbed(place, filled(charts[name]), { renderer: 'svg', actions: false })
      }
      show(place.hidden)
    })
    show(false)
    picture.after(place, button)
  })
})()
