"use strict";
// Bokeh draws on a canvas, which page colours do not reach: set them on its models.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const paintPlots = (isDark) => {
  const ink = isDark ? "#e8ebef" : "#1b1f24";
  const grid = isDark ? "#363c45" : "#e1e5ea";
  for (const view of Object.values(Bokeh.index)) {
    for (const model of view.model.document.all_models) {
      if (model.type.endsWith("Axis")) {
        model.setv({
          axis_label_text_color: ink, major_label_text_color: ink, axis_line_color: ink,
          major_tick_line_color: ink, minor_tick_line_color: null, axis_label_text_font_style: "normal",
        });
      } else if (model.type === "Grid") {
        model.setv({ grid_line_color: grid });
      } else if (model.type === "Legend") {
        model.setv({ label_text_color: ink, border_line_color: null });
      }
    }
  }
};
Promise.all(plotItems.map((item) => Bokeh.embed.embed_item(item))).then(() => {
  paintPlots(dark.matches);
  dark.addEventListener("change", (event) => paintPlots(event.matches));
  window.addEventListener("beforeprint", () => paintPlots(false));
  window.addEventListener("afterprint", () => paintPlots(dark.matches));
  document.documentElement.dataset.plots = "ready";
});
