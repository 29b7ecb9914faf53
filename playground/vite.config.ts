import { defineConfig } from "vite";

export default defineConfig({
  // The binary serves the page at <base path>/playground/, and only it knows the base path.
  base: "./",
  build: {
    target: "es2022",
    // A file of its own for everything: the page's content security policy allows no `data:` but for images.
    assetsInlineLimit: 0,
    // The editor alone is larger than the default's warning.
    chunkSizeWarningLimit: 3000,
    rolldownOptions: {
      onwarn(warning, report) {
        // "use client" in dependencies: meant for servers that render React.
        if (warning.code !== "MODULE_LEVEL_DIRECTIVE") report(warning);
      },
    },
  },
  worker: { format: "es" },
});
