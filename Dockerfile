# The application's image: its code and packages, a user without a name, and no .env.
# docs/deploying.md explains it. Replace the server and its application in the last line.
FROM python:3.13-slim AS build
RUN python -m venv /venv
WORKDIR /packages
COPY toolkit toolkit
# Without the code, the project has nothing but its dependencies: a change of code installs nothing.
COPY pyproject.toml README.md ./
RUN /venv/bin/pip install --no-cache-dir ./toolkit .
COPY . /app
RUN rm -r /app/toolkit

FROM python:3.13-slim
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=10s --start-period=30s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health')"]
CMD ["gunicorn", "--bind=0.0.0.0:8000", "--worker-class=gthread", "--threads=16", "flask_app:app"]
