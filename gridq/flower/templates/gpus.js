(function () {
  "use strict";

  var PAUSE = 2000, FULL = 0.9, GIB = Math.pow(2, 30), UNKNOWN = "–";
  var page = document.getElementById("gpus-page");
  // A page opened as http://name:password@host/ may not fetch a URL that has them too.
  var rowsUrl = new URL(page.dataset.rows, window.location.origin);

  function put(id, text) { document.getElementById(id).textContent = text; }

  function element(tag, className, text) {
    var made = document.createElement(tag);
    if (className) { made.className = className; }
    if (text !== undefined) { made.textContent = text; }
    return made;
  }

  function link(base, name, text) {
    var made = element("a", "", text);
    made.href = base + encodeURIComponent(name);
    made.title = name;
    return made;
  }

  function known(value, unit) { return value === null ? UNKNOWN : Math.round(value) + unit; }

  function gib(bytes) { return bytes === null ? UNKNOWN : String(Number((bytes / GIB).toFixed(1))); }

  function memory(row) {
    var share = row.memory_used === null ? 0 : row.memory_used / row.memory_total;
    var cell = element("td"), bar = element("div", share >= FULL ? "gpus-bar gpus-bar-full" : "gpus-bar");
    bar.appendChild(element("div")).style.width = 100 * Math.min(1, share) + "%";
    cell.append(bar, element("div", "gpus-amount", gib(row.memory_used) + " / " + gib(row.memory_total) + " GiB"));
    return cell;
  }

  function verdict(row) {
    var cell = element("td");
    cell.appendChild(element("span", "gpus-verdict gpus-" + row.verdict, row.verdict));
    if (row.draining) { cell.appendChild(element("span", "gpus-draining", " draining")); }
    row.reasons.forEach(function (reason) { cell.appendChild(element("div", "gpus-reason", reason)); });
    return cell;
  }

  function tasks(row) {
    var cell = element("td");
    row.tasks.forEach(function (task) {
      var id = task.id.slice(0, 8), line = element("div");
      // Of a task that Flower has not heard of it has no page.
      line.append(task.name ? link(page.dataset.task, task.id, task.name + " " + id) : id);
      cell.appendChild(line);
    });
    if (!row.tasks.length) { cell.appendChild(element("span", "value-missing", UNKNOWN)); }
    return cell;
  }

  function gpu(row) {
    var cell = element("td");
    cell.appendChild(link(page.dataset.worker, row.worker, row.worker.split("@")[0])).title = row.uuid;
    return cell;
  }

  function line(row) {
    var made = element("tr");
    made.append(
      element("td", "", row.node),
      gpu(row),
      verdict(row),
      element("td", "gpus-secondary", row.model),
      memory(row),
      element("td", "text-end", known(row.utilization === null ? null : 100 * row.utilization, " %")),
      element("td", "text-end", known(row.temperature, " °C")),
      element("td", "text-end gpus-secondary", known(row.power, " W")),
      tasks(row)
    );
    return made;
  }

  function sum(rows, value) { return rows.reduce(function (total, row) { return total + value(row); }, 0); }

  function summarize(rows) {
    // A worker that holds several GPUs has its slots and its tasks once.
    var workers = Array.from(new Map(rows.map(function (row) { return [row.worker, row]; })).values());
    var used = sum(rows, function (row) { return row.memory_used || 0; });
    put("gpus-count", rows.length);
    put("gpus-running", sum(workers, function (row) { return row.tasks.length; }) + " / " +
      sum(workers, function (row) { return row.slots; }));
    put("gpus-memory", gib(used) + " / " + gib(sum(rows, function (row) { return row.memory_total; })) + " GiB");
    put("gpus-sick", rows.filter(function (row) { return row.verdict !== "healthy"; }).length);
  }

  function show(rows) {
    document.querySelector("#gpus-table tbody").replaceChildren(...rows.map(line));
    document.getElementById("gpus-none").hidden = rows.length > 0;
    summarize(rows);
  }

  function tell(status, error) {
    document.getElementById("gpus-indicator").className = "status-dot status-dot-" + (error ? "error" : "live");
    document.getElementById("gpus-table").classList.toggle("gpus-old", Boolean(error));
    document.getElementById("gpus-error").hidden = !error;
    put("gpus-error", error || "");
    put("gpus-status", status);
  }

  function answered(answer) {
    if (!answer.ok && answer.status !== 503) { throw new Error("Flower answered " + answer.status); }
    return answer.json();
  }

  var seenAt = "";

  function ask() {
    // A tab that nobody looks at asks nothing.
    if (document.hidden) { setTimeout(ask, PAUSE); return; }
    fetch(rowsUrl).then(answered).then(function (said) {
      if (said.error) { throw new Error(said.error); }
      show(said.gpus);
      seenAt = new Date().toLocaleTimeString();
      tell("Live · " + seenAt);
    }).catch(function (error) {
      tell(seenAt ? "As of " + seenAt : "Not connected", "No news of the GPUs: " + error.message);
    }).finally(function () { setTimeout(ask, PAUSE); });
  }

  ask();
}());
