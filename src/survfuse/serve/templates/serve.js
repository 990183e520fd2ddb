for (const form of document.querySelectorAll("form")) {
  const button = form.querySelector("button");
  const label = button.textContent;
  const files = [...form.querySelectorAll("input[type=file]")];
  for (const input of files) {
    input.addEventListener("dragover", () => input.classList.add("over"));
    for (const end of ["dragleave", "drop"]) {
      input.addEventListener(end, () => input.classList.remove("over"));
    }
  }
  form.addEventListener("submit", (event) => {
    const bytes = files.flatMap((input) => [...input.files]).reduce((sum, file) => sum + file.size, 0);
    if (bytes > Number(form.dataset.mostBytes)) {
      event.preventDefault();
      alert(`These files are too large for this page: at most ${Math.floor(form.dataset.mostBytes / 2 ** 20)} MiB together.`);
      return;
    }
    button.disabled = true;
    button.textContent = "Sending …";
  });
  addEventListener("pageshow", () => {
    button.disabled = false;
    button.textContent = label;
  });
}
