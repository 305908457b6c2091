// A browser starts no worker for a page that is opened from disk. The site's search needs one, so
// there a hidden frame runs the worker's script instead.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      // in the frame, a message without a target is the worker's answer
      const bridge = `
        const receive = self.postMessage.bind(self)
        self.postMessage = (data, target) =>
          target === undefined ? parent.postMessage(data, "*") : receive(data, target)`
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      this.frame.srcdoc =
        `<script>${bridge}</script><script src="${new URL(url, location.href)}"></script>`
      this.ready = new Promise((done) => this.frame.addEventListener("load", done))
      document.body.append(this.frame)
      addEventListener("message", (event) => {
        if (event.source !== this.frame.contentWindow) return
        const message = new MessageEvent("message", { data: event.data })
        this.dispatchEvent(message)
        this.onmessage?.(message)
      })
    }

    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.postMessage(data, "*"))
    }

    terminate() {
      this.frame.remove()
    }
  }
}
