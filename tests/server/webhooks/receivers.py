"""What the receivers printed in the documents stand on: as little of their frameworks as they use.

The code of the documents is not changed; only what they import is ours, and the port.
"""

from __future__ import annotations

FLASK = """
import json, os
from http.server import BaseHTTPRequestHandler, HTTPServer

class _Request: pass
request = _Request()

def jsonify(value):
    return value

class Flask:
    def __init__(self, name):
        self.views = {}

    def route(self, path, methods):
        return lambda view: self.views.setdefault(path, view)

    def run(self, port):
        views = self.views

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                request.data = self.rfile.read(int(self.headers["Content-Length"]))
                request.headers = self.headers
                request.json = json.loads(request.data)
                answer, status = views[self.path]()
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args): pass

        HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

EXPRESS = """
const http = require('http');
function express() {
  const routes = {};
  return {
    post(path, middleware, handler) { routes[path] = handler; },
    listen() {
      http.createServer((req, res) => {
        const parts = [];
        req.on('data', (part) => parts.push(part));
        req.on('end', () => {
          req.body = Buffer.concat(parts);
          res.status = (code) => { res.statusCode = code; return res; };
          res.json = (value) => { res.end(JSON.stringify(value)); return res; };
          try { routes[req.url](req, res); } catch (error) { res.status(500).json({}); }
        });
      }).listen(Number(process.env.PORT), '127.0.0.1');
    },
  };
}
express.raw = () => null;
globalThis.handleCostCreated = async (data) => console.log('cost', data.id);
globalThis.handleBudgetAlert = async (data) => console.log('budget', data.budget_name);
module.exports = express;
"""

TYPES = (
    (": string", ""),
    (": boolean", ""),
    (": any", ""),
    (" as string", ""),
    ("WEBHOOK_SECRET!", "WEBHOOK_SECRET"),
    ("import express from 'express'", "const express = require('express')"),
    ("import crypto from 'crypto'", "const crypto = require('crypto')"),
    ("import { CostOpsClient } from '@llm-cost-ops/sdk';", ""),
)
"""The types of the printed TypeScript, which node runs without them."""
