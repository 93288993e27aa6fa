// A button at each block of code that copies it.
(function () {
  document.querySelectorAll('div.highlight > pre').forEach((block) => {
    const button = document.createElement('button')
    button.type = 'button'
    button.className = 'copy'
    button.textContent = 'Copy'
    button.addEventListener('click', async () => {
      const text = block.textContent.trimEnd()
      try {
        await navigator.clipboard.writeText(text)
        button.textContent = 'Copied'
      } catch {
        // Some browsers keep the clipboard from pages of the disk: the text is selected instead.
        getSelection().selectAllChildren(block)
        button.textContent = 'Selected'
      }
      setTimeout(() => { button.textContent = 'Copy' }, 2000)
    })
    block.before(button)
  })
})()
