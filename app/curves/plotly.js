// Plotly, from the lab.

const PLOTLY_URL = "/lab/plotly.js";

let loading = null;

// Plotly, loaded once for all components of the page. A failed load is tried again by the next call.
export function loadPlotly() {
  loading ??= new Promise((resolve, reject) => {
    if (window.Plotly) {
      resolve(window.Plotly);
      return;
    }
    const script = document.createElement("script");
    script.src = PLOTLY_URL;
    script.addEventListener("load", () => resolve(window.Plotly));
    script.addEventListener("error", () => {
      script.remove();
      loading = null;
      reject(new Error(`${PLOTLY_URL} did not load`));
    });
    document.head.append(script);
  });
  return loading;
}
